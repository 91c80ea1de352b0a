from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.agreement.attribute_metrics import (
    EXCERPT,
    AgreementMetrics,
    against_gold,
    disagreements,
    spread,
    two_classes,
)

GRADES = ["0", "1", "2", "3", "4", "5"]
NAN = math.nan


def furthest(gold: list[float], scores: list[float], count: int = 6) -> list[tuple[str, str, str]]:
    ids = [f"d{n}" for n in range(len(gold))]
    found = disagreements(
        ids, ["web"] * len(ids), ids, np.array(gold), np.array(scores), GRADES, True, count
    )
    return [(one["id"], one["gold"], one["given"]) for one in found]


def test_facts_of_a_whole_labelling_are_json(grades_and_topics: AgreementMetrics) -> None:
    text = json.dumps(grades_and_topics, allow_nan=False)
    assert json.loads(text) == grades_and_topics


@pytest.mark.parametrize(
    ("gold", "labels", "expected"),
    [
        ([0, 1, 1, NAN], GRADES, True),
        ([0, 1, 2], GRADES, False),
        ([0, 1], ["0", "1"], False),
        ([NAN], GRADES, False),
        ([], GRADES, False),
        ([3, 4], GRADES, False),
    ],
)
def test_gold_of_two_classes_is_told_by_its_labels(
    gold: list[float], labels: list[str], expected: bool
) -> None:
    assert two_classes(np.array(gold, dtype=float), labels) is expected


def test_gold_is_compared_by_the_figures_that_suit() -> None:
    scores = np.array([0.5, 4.5, 3.5, 1.0])
    names = np.array(["a", "b", "a", "b"], dtype=object)
    kinds = [
        against_gold(scores, np.array([0, 5, 3, 1]), {}, GRADES, True, 3, 1)["kind"],
        against_gold(scores, np.array([0, 1, 1, 0]), {}, GRADES, True, 3, 1)["kind"],
        against_gold(names, names, {}, ["a", "b"], False, 3, 1)["kind"],
    ]
    assert kinds == ["grades", "two_classes", "categories"]


def test_the_furthest_from_gold_come_first_and_equals_by_id() -> None:
    assert furthest([0, 5, 2, 3, NAN], [4, 5, 3, 2, 5]) == [
        ("d0", "0", "4"),
        ("d2", "2", "3"),
        ("d3", "3", "2"),
    ]
    assert len(furthest([0, 5, 2, 3], [4, 4, 3, 2], count=2)) == 2


def test_gold_of_two_classes_stands_for_the_ends_of_the_scale() -> None:
    assert furthest([1, 0, 1], [4.5, 3, 1]) == [
        ("d2", "1", "1"),
        ("d1", "0", "3"),
        ("d0", "1", "4.5"),
    ]


def test_categories_are_apart_or_not_and_texts_are_cut() -> None:
    long = "x" * (EXCERPT + 1)
    found = disagreements(
        ["a", "b", "c"],
        ["s", "s", "s"],
        ["short", long, "none"],
        np.array(["law", "law", None], dtype=object),
        np.array(["law", "code", "code"], dtype=object),
        ["law", "code"],
        ordered=False,
    )
    assert [(one["id"], one["gold"], one["given"]) for one in found] == [("b", "law", "code")]
    assert found[0]["text"] == "x" * EXCERPT + "…"


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 5), st.sampled_from(["web", "wiki"])), max_size=20)
)
def test_every_score_is_in_one_bin_of_its_source(rows: list[tuple[float | None, str]]) -> None:
    scores = np.array([NAN if score is None else score for score, _ in rows], dtype=float)
    sources = np.array([source for _, source in rows], dtype=object)
    found = spread(scores, sources, GRADES, True, seed=1)
    assert len(found["bins"]) == 20
    assert found["width"] == 0.25
    for source, counts in found["sources"].items():
        expected = sum(s is not None and name == source for s, name in rows)
        assert sum(counts) == expected
        assert found["means"][source]["n"] == expected
    total = sum(map(sum, found["sources"].values()))
    assert total == sum(score is not None for score, _ in rows)
    json.dumps(found, allow_nan=False)


def test_the_highest_score_is_in_the_highest_bin() -> None:
    found = spread(np.array([0.0, 5.0, 5.0]), np.array(["a"] * 3), GRADES, True, seed=1)
    counts = found["sources"]["a"]
    assert (counts[0], counts[-1]) == (1, 2)
    assert found["means"]["a"]["value"] == pytest.approx(10 / 3, abs=1e-4)


def test_categories_are_counted_in_the_rubrics_order() -> None:
    named: list[Any] = ["code", "law", None, "code"]
    given = np.array(named, dtype=object)
    found = spread(given, np.array(["a", "b", "b", "a"]), ["law", "code", "wiki"], False, seed=1)
    assert found == {"bins": ["law", "code", "wiki"], "sources": {"a": [0, 2, 0], "b": [1, 0, 0]}}
