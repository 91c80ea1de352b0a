"""Figures against a gold set, spreads and disagreements, on labels with known answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from classifiers.agreement.agreement_metrics import auc, quadratic_kappa, spearman
from classifiers.agreement.label_agreement import (
    EXCERPT,
    MOST_GROUPS,
    AgreementMetrics,
    AttributeMetrics,
    against_categories,
    against_gold,
    against_grades,
    against_two_classes,
    disagreements,
    is_tied,
    length_groups,
    spread,
    two_classes,
    warnings_about,
)

SCALE = [0, 1, 2, 3, 4, 5]
TOPICS = ["law", "code", "wiki"]
Array = np.ndarray[Any, Any]


@pytest.fixture
def judged() -> tuple[Array, Array]:
    """Scores and gold grades of 300 documents, scores half a grade too high in the middle."""
    random = np.random.default_rng(1)
    gold = random.integers(0, 6, 300).astype(float)
    scores = np.clip(gold + 0.5 * (gold < 4) + random.normal(0, 0.8, 300), 0, 5)
    return scores, gold


def test_length_groups_begin_where_they_say() -> None:
    sizes = np.array([0, 999, 1_000, 3_999, 4_000, 16_000, 10**9])
    assert length_groups(sizes).tolist() == [
        *("under 1 kB", "under 1 kB", "1 to 4 kB", "1 to 4 kB", "4 to 16 kB"),
        *("16 kB and more", "16 kB and more"),
    ]


def test_figures_overall_are_of_scores_or_of_rounded_grades(judged: tuple[Array, Array]) -> None:
    scores, gold = judged
    found = against_grades(scores, gold, {}, SCALE, threshold=3, seed=1)
    overall, rounded = found["overall"], np.round(scores)
    assert overall["spearman"]["value"] == round(float(spearman(gold, scores)), 4)
    assert overall["quadratic_kappa"]["value"] == round(float(quadratic_kappa(gold, rounded)), 4)
    assert overall["macro_f1"]["value"] == round(oracle.f1_score(gold, rounded, average="macro"), 4)
    assert overall["f1"]["value"] == round(oracle.f1_score(gold >= 3, rounded >= 3), 4)
    assert overall["bias"]["low"] > 0
    for entry in overall.values():
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["n"] == found["n"] == 300


def test_the_threshold_is_met_by_what_rounds_to_it() -> None:
    # 2.5 rounds to 2, as in Python; 2.51 to 3.
    scores, gold = np.array([2.5, 2.51, 0.4, 4.0]), np.array([2.0, 3.0, 0.0, 4.0])
    found = against_grades(scores, gold, {}, SCALE, threshold=3, seed=1)
    assert found["overall"]["f1"]["value"] == 1


def test_groups_have_figures_of_their_own(judged: tuple[Array, Array]) -> None:
    scores, gold = judged
    sources = np.array(["web"] * 200 + ["books"] * 99 + ["lone"])
    sizes = np.tile([500, 2_000, 40_000], 100)
    groups = {"source": sources, "length": length_groups(sizes)}
    found = against_grades(scores, gold, groups, SCALE, threshold=3, seed=1)["groups"]
    assert list(found["source"]) == ["web", "books", "lone"]
    web, lone = found["source"]["web"], found["source"]["lone"]
    assert web["spearman"]["n"] == 200
    assert web["spearman"]["value"] == round(float(spearman(gold[:200], scores[:200])), 4)
    assert lone["spearman"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 1,
        "why": "1 of the 2 documents that are needed",
    }
    assert list(found["length"]) == ["under 1 kB", "1 to 4 kB", "16 kB and more"]


def test_many_sources_are_shown_by_size_and_the_rest_together() -> None:
    count = MOST_GROUPS + 5
    sources = np.repeat([f"s{n:02}" for n in range(count)], np.arange(count) + 4)
    scores = np.arange(len(sources)) % 6.0
    found = against_grades(scores, scores, {"source": sources}, SCALE, 3, 1)["groups"]["source"]
    assert next(iter(found)) == f"s{count - 1}"
    assert list(found)[-1] == "5 others"
    assert sum(figures["bias"]["n"] for figures in found.values()) == len(sources)


def test_documents_without_a_label_are_counted_and_left_out(judged: tuple[Array, Array]) -> None:
    scores, gold = judged
    more = np.append(scores, [math.nan, math.nan, 3.0])
    golden = np.append(gold, [4.0, 1.0, math.nan])
    groups = {"language": np.array([None, "en", "de"] * 101, dtype=object)}
    found = against_grades(more, golden, groups, SCALE, 3, 1)
    assert (found["n"], found["missing"]) == (300, 2)
    assert found["overall"] == against_grades(scores, gold, {}, SCALE, 3, 1)["overall"]
    assert sum(f["bias"]["n"] for f in found["groups"]["language"].values()) == 300
    assert set(found["groups"]["language"]) == {"unknown", "en", "de"}
    assert sum(entry["n"] for entry in found["calibration"]) == 300
    assert sum(map(sum, found["confusion"]["counts"])) == 300


def test_the_confusion_matrix_has_gold_in_rows() -> None:
    found = against_grades(np.array([1.2, 4.8, 4.9]), np.array([0.0, 5.0, 5.0]), {}, SCALE, 3, 1)
    counts = np.array(found["confusion"]["counts"])
    assert found["confusion"]["labels"] == ["0", "1", "2", "3", "4", "5"]
    assert counts[0, 1] == 1
    assert counts[5, 5] == 2
    assert counts.sum() == 3


def test_two_classes_are_ranked_by_any_scale() -> None:
    random = np.random.default_rng(2)
    gold = np.repeat([0.0, 1.0], [140, 60])
    scores = random.normal(2 + gold, 1)
    groups = {"source": np.array(["all"] * 200)}
    found = against_two_classes(scores, gold, groups, threshold=2.5, seed=1)
    assert found["overall"]["auc"]["value"] == round(float(auc(gold, scores)), 4)
    assert found["overall"]["f1"]["value"] == round(oracle.f1_score(gold, scores >= 2.5), 4)
    assert found["groups"]["source"]["all"]["auc"] == found["overall"]["auc"]


def test_a_group_of_one_class_has_no_auc() -> None:
    gold = np.repeat([0.0, 1.0], 30)
    groups = {"source": np.where(gold == 1, "good", "bad")}
    found = against_two_classes(np.arange(60.0), gold, groups, 3, 1)
    assert found["overall"]["auc"]["value"] == 1
    assert found["groups"]["source"]["good"]["auc"]["value"] is None
    assert "same value" in found["groups"]["source"]["good"]["auc"]["why"]


def test_categories_are_compared_by_name() -> None:
    gold = np.array(["law", "code", "wiki", "law"] * 20 + [None], dtype=object)
    given = np.array(["law", "code", "law", "law"] * 20 + ["law"], dtype=object)
    groups = {"source": np.array(["a", "b", "a"] * 27)}
    found = against_categories(given, gold, groups, TOPICS, seed=1)
    kappa = oracle.cohen_kappa_score(gold[:80].astype(str), given[:80].astype(str))
    assert found["overall"]["accuracy"]["value"] == 0.75
    assert found["overall"]["cohen_kappa"]["value"] == round(kappa, 4)
    assert found["confusion"] == {
        "labels": TOPICS,
        "counts": [[40, 0, 0], [0, 20, 0], [20, 0, 0]],
    }
    assert found["n"] == 80


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(0, 5),
            st.none() | st.sampled_from(SCALE),
            st.none() | st.text(max_size=3),
        ),
        max_size=12,
    )
)
def test_any_columns_give_json_and_lose_no_document(
    rows: list[tuple[float | None, int | None, str | None]],
) -> None:
    scores = np.array([math.nan if row[0] is None else row[0] for row in rows], dtype=float)
    gold = np.array([math.nan if row[1] is None else row[1] for row in rows], dtype=float)
    groups = {"source": np.array([row[2] for row in rows], dtype=object)}
    for found in (
        against_grades(scores, gold, groups, SCALE, 3, 1),
        against_two_classes(scores, np.minimum(gold, 1), groups, 3, 1),
    ):
        json.dumps(found, allow_nan=False)
        assert found["n"] + found["missing"] == int((~np.isnan(gold)).sum())
        of_source = found["groups"]["source"].values()
        assert sum(figures[next(iter(figures))]["n"] for figures in of_source) == found["n"]


def test_web_pages_judged_by_people_against_their_length(
    read_domain: Callable[..., list[dict[str, Any]]],
) -> None:
    # A real gold set and the dullest of judges: longer is better.
    pages = read_domain("truth/web-quality-human")
    gold = np.array([float(page["label"]) for page in pages])
    sizes = np.array([len(page["text"].encode()) for page in pages])
    groups = {"length": length_groups(sizes)}
    found = against_two_classes(np.log(sizes), gold, groups, float(np.log(2_000)), seed=1)
    assert found["n"] == len(pages)
    low, high = found["overall"]["auc"]["low"], found["overall"]["auc"]["high"]
    assert low < found["overall"]["auc"]["value"] < high
    assert high - low > 0.05, "249 documents do not say more"
    assert sum(f["auc"]["n"] for f in found["groups"]["length"].values()) == len(pages)


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
def test_gold_of_two_classes_is_known_by_its_labels(
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


@pytest.mark.parametrize(
    ("values", "tied"),
    [
        (np.full(20, 2.5), True),
        (np.linspace(2.5, 2.509, 20), True),
        (np.linspace(2.5, 2.6, 20), False),
        (np.full(9, 2.5), False),
        (np.array([2.5] * 12 + [np.nan] * 8), True),
        (np.full((20, 3), 1 / 3), True),
        (np.tile([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]], (10, 1)), False),
        (np.full(20, np.nan), False),
    ],
)
def test_labels_are_tied_when_no_document_differs_by_more_than_noise(
    values: Any, tied: bool
) -> None:
    assert is_tied(values) is tied


def test_agreement_no_better_than_chance_is_a_warning() -> None:
    gold = np.tile([0.0, 1.0, 2.0, 3.0], 10)
    columns: dict[str, Any] = {"given": gold, "one for all": np.full(40, 1.0)}
    columns["chance"] = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    found = {}
    for name, labels in columns.items():
        figures = against_grades(labels, gold, {}, [0, 1, 2, 3], 2, seed=1)
        found[name] = warnings_about("a", AttributeMetrics(gold=figures))  # type: ignore[typeddict-item]
    assert found["given"] == []
    for name in ("one for all", "chance"):
        assert found[name] == ["agreement of `a` with 40 gold labels may be no more than chance"]
