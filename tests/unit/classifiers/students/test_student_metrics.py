"""Grades from scores, thresholds, and figures on unseen documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.agreement.agreement_metrics import macro_f1, quadratic_kappa, spearman
from classifiers.students.student_loading import open_student
from classifiers.students.student_metrics import cuts, graded, held_out, middle, nearest, thresholds

VALUES = (0.0, 1.0, 2.0, 3.0)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any), st.integers(20, 200))
def test_grades_are_as_frequent_as_asked(shares: list[int], n: int) -> None:
    wanted = np.array(shares) / sum(shares)
    scores = np.random.default_rng(n).normal(size=n)
    found = graded(scores, cuts(scores, wanted), VALUES)
    for value, share in zip(VALUES, wanted, strict=True):
        assert abs((found == value).sum() - share * n) <= 2
    order = np.argsort(scores)
    assert (np.diff(found[order]) >= 0).all()


def test_equal_scores_have_equal_grades() -> None:
    scores = np.array([0.5, 0.5, 0.5, 0.1, 0.9])
    found = graded(scores, cuts(scores, np.array([0.5, 0.5])), (0, 1))
    assert found.tolist() == [1, 1, 1, 0, 1]


def test_cutting_keeps_the_ends_of_a_scale_that_rounding_loses() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, 500).astype(np.float64)
    scores = 1.5 + 0.3 * (truth - 1.5) + random.normal(0, 0.1, 500)
    shares = np.bincount(truth.astype(int)) / 500
    cut, rounded = graded(scores, cuts(scores, shares), VALUES), np.round(scores)
    assert macro_f1(truth, cut) > macro_f1(truth, rounded) + 0.2
    assert quadratic_kappa(truth, cut) > quadratic_kappa(truth, rounded) + 0.2


@given(st.floats(-5, 9))
def test_the_nearest_grade_is_none_farther_than_another(number: float) -> None:
    (found,) = nearest(np.array([number]), (0.0, 1.0, 4.0))
    assert abs(found - number) == min(abs(value - number) for value in (0.0, 1.0, 4.0))


def test_the_upper_half_of_a_scale_begins_above_its_middle() -> None:
    assert [middle(v) for v in ((0, 1), (0, 1, 2), (0, 1, 2, 3, 4, 5))] == [1, 2, 3]


def test_thresholds_are_quantiles_by_language() -> None:
    scores = np.arange(200, dtype=np.float32)
    languages = ["en"] * 100 + ["de"] * 95 + [None] * 5
    found = thresholds(scores, languages)
    assert list(found) == ["all", "de", "en"]  # too few have none
    assert found["all"] == {
        "n": 200,
        **{"top 5%": 190, "top 10%": 180, "top 20%": 160, "top 30%": 140, "top 50%": 100},
    }
    for name, low, n in (("en", 0, 100), ("de", 100, 95)):
        assert found[name]["n"] == n
        top = found[name]["top 20%"]
        inside = scores[low : low + n]
        assert (inside >= top).sum() == pytest.approx(n / 5, abs=1)
    assert thresholds(scores[:0], []) == {}


@pytest.mark.parametrize("kind", ["fasttext", "linear", "mlp"])
def test_a_student_is_measured_on_documents_it_has_not_seen(
    graded: Any, folders: dict[str, Path], kind: str
) -> None:
    texts, soft, topics, _ = graded.rows(1)
    student = open_student(folders[f"{kind} grades"])
    found = held_out(student, texts, soft, soft.shares, seed=1)
    exact = spearman(soft.expected, student.score(texts).astype(np.float64))
    assert found["spearman"]["value"] == pytest.approx(exact, abs=1e-3)
    assert found["spearman"]["low"] <= found["spearman"]["value"] <= found["spearman"]["high"]
    assert found["quadratic_kappa"]["value"] > 0.8
    assert found["f1_from_2"]["n"] == found["n"] == len(texts)
    assert sum(entry["n"] for entry in found["calibration"]) == len(texts)
    of_topics = held_out(open_student(folders[f"{kind} topics"]), texts, topics, soft.shares, 1)
    assert of_topics["accuracy"]["value"] > 0.75
    assert of_topics["cohen_kappa"]["value"] > 0.6


def test_documents_of_an_empty_language_are_of_an_unknown_one() -> None:
    found = thresholds(np.arange(60.0), [""] * 20 + [None] * 10 + ["en"] * 30)
    assert {name: entry["n"] for name, entry in found.items()} == {
        "all": 60, "en": 30, "unknown": 30
    }  # fmt: skip
