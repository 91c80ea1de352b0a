from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from classifiers.scores.keep import Keep, parse_share
from pipeline.errors import ShardError
from pipeline.step import Column, ManifestView
from winnow.testing import StepRun, run_global_step

TYPES = {"edu": pa.float32(), "topic": pa.large_string()}
VIEW = ManifestView(Path(), 0, ("web",), ("edu", "topic"))
Rows = list[dict[str, Any]]


def run(rows: Rows, shards: int = 1, batch: int = 4_096, **parameters: Any) -> StepRun:
    return run_global_step(Keep(column="edu", **parameters), rows, TYPES, shards, batch)


def scored(*scores: float | None) -> Rows:
    return [{"edu": score} for score in scores]


def kept(rows: Rows, **parameters: Any) -> list[int]:
    return [int(key[1:]) for key in run(rows, **parameters).kept]


def test_the_best_share_stays_in_input_order() -> None:
    assert kept(scored(0.1, 0.9, 0.5, 0.8, 0.2, 0.3, 0.4, 0.6, 0.7, 0.0), top="30%") == [1, 3, 8]


def test_ties_at_the_threshold_all_stay_and_the_real_share_is_reported() -> None:
    ran = run(scored(1, 2, 2, 2, 3), top="40%")
    assert len(ran.kept) == 4
    assert ran.metrics["kept"] == 4
    assert ran.metrics["kept_of_scored"] == 0.8
    assert ran.metrics["threshold"] == 2


def test_both_zeros_are_one_score() -> None:
    assert kept(scored(-0.0, 0.0, -1), top="1%") == [0, 1]


def test_a_share_is_exact_where_floats_are_not() -> None:
    rows = scored(*range(10))
    assert [len(kept(rows, top=f"{tenth}0%")) for tenth in range(1, 11)] == list(range(1, 11))


def test_dropped_documents_carry_their_score_and_the_threshold() -> None:
    ran = run(scored(0.5, 0.25), top="50%")
    reason = {"reason": "below_top_share", "score": 0.25, "threshold": 0.5}
    assert ran.dropped == {"d1": reason}


@pytest.mark.parametrize(
    "parameters", [{"top": "100%"}, {"min_score": -9}, {"top": "50%", "all_tied": "keep"}]
)
def test_documents_without_a_score_are_dropped_by_a_reason_of_their_own(
    parameters: dict[str, Any],
) -> None:
    ran = run(scored(0.5, None, float("nan"), 0.5), **parameters)
    assert ran.kept == ["d0", "d3"]
    assert {key: said["reason"] for key, said in ran.dropped.items()} == {
        "d1": "no_score",
        "d2": "no_score",
    }
    assert (ran.metrics["documents"], ran.metrics["no_score"], ran.metrics["kept"]) == (4, 2, 2)
    assert ran.metrics["kept_of_scored"] == 1


def test_documents_without_a_score_make_up_no_share() -> None:
    assert kept(scored(None, None, None, 1, 2), top="50%") == [4]


def test_each_group_keeps_its_own_share_and_null_is_a_group() -> None:
    languages = ["en"] * 4 + ["de"] * 4 + [None] * 2
    scores = [4, 3, 2, 1, 40, 30, 20, 10, 5, 6]
    rows = [
        {"edu": score, "language": language}
        for score, language in zip(scores, languages, strict=True)
    ]
    ran = run(rows, top="50%", by="language")
    assert ran.kept == ["d0", "d1", "d4", "d5", "d9"]
    assert [(row["by.language"], row["threshold"]) for row in ran.tables["groups.parquet"]] == [
        (None, 6),
        ("de", 30),
        ("en", 3),
    ]
    assert ran.metrics["by_group"]["de"]["threshold"] == 30
    assert ran.metrics["by_group"]["(none)"]["documents"] == 2


def test_groups_of_two_columns_are_their_combinations() -> None:
    rows = [
        {"edu": 10 * number + digit, "source": source, "topic": topic}
        for number, (source, topic) in enumerate([("a", "x"), ("a", "y"), ("b", "x"), ("b", None)])
        for digit in (1, 2)
    ]
    ran = run(rows, top="50%", by=["source", "topic"])
    assert ran.kept == ["d1", "d3", "d5", "d7"]
    assert set(ran.metrics["by_group"]) == {"a, x", "a, y", "b, x", "b, (none)"}


def test_documents_of_other_sources_count_for_nothing_and_go() -> None:
    rows = [
        {"edu": score, "source": source, "topic": topic}
        for score, source, topic in [
            (1, "web", "a"),
            (9, "good", "a"),
            (2, "web", "a"),
            (8, "good", "only there"),
            (3, "wiki", "b"),
            (None, "good", None),
        ]
    ]
    ran = run(rows, top="50%", by="topic", sources=["web", "wiki"])
    assert ran.kept == ["d2", "d4"]
    assert ran.dropped["d1"] == {"reason": "other_source", "score": 9}
    assert {ran.dropped[key]["reason"] for key in ("d1", "d3", "d5")} == {"other_source"}
    assert ran.metrics["documents"] == 3
    assert set(ran.metrics["by_group"]) == {"a", "b"}
    assert run(rows, 3, 2, top="50%", by="topic", sources=["web", "wiki"]) == ran
    assert kept(rows, min_score=0, sources="good") == [1, 3]


def test_a_source_that_is_not_there_is_named() -> None:
    (problem,) = Keep(column="edu", top="1%", sources="wep").check(VIEW)
    assert (problem.path, problem.code) == (("sources",), "unknown-source")
    assert problem.choices == ("web",)
    (problem,) = Keep(column="edu", top="1%", sources=["web", "x"]).check(VIEW)
    assert problem.path == ("sources", 1)


def test_a_share_of_bytes_weighs_long_documents_more() -> None:
    rows = [
        {"edu": 3.0, "text": "a" * 30},
        {"edu": 2.0, "text": "é" * 10},
        {"edu": 1.0, "text": "a" * 50},
    ]
    assert kept(rows, top="40%") == [0, 1]
    assert kept(rows, top="30%", of="bytes") == [0]
    assert kept(rows, top="31%", of="bytes") == [0, 1]
    assert run(rows, top="31%", of="bytes").metrics["kept_of_bytes"] == 0.5


def test_texts_without_a_byte_are_kept_and_not_lost() -> None:
    rows = [{"edu": float(score), "text": ""} for score in range(3)]
    ran = run(rows, top="10%", of="bytes")
    assert len(ran.kept) == 3
    assert ran.metrics["kept_of_bytes"] is None


@pytest.mark.parametrize("score", [-3, 0, 0.4999, 1.5, 2.49, 2.5, 2.51, 3, 3.49, 3.5, 4.5, 5, 9.9])
@pytest.mark.parametrize("least", [1, 2, 3, 4, 5])
def test_rounding_is_that_of_fineweb_edu(score: float, least: int) -> None:
    score = float(np.float32(score))
    theirs = round(max(0, min(score, 5))) >= least
    assert kept(scored(score), rounded_at_least=least) == ([0] if theirs else [])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-6, 6))
def test_rounding_is_that_of_python(score: float, least: int) -> None:
    ran = run(scored(score), rounded_at_least=least)
    assert bool(ran.kept) == (round(score) >= least)


@given(st.floats(width=32, allow_nan=False), st.floats(-1e300, 1e300))
def test_a_fixed_score_is_compared_as_it_is_written(score: float, least: float) -> None:
    ran = run(scored(score), min_score=least)
    assert bool(ran.kept) == (score >= least)
    if not ran.kept:
        assert ran.dropped["d0"]["reason"] == "below_min_score"


def test_the_least_score_has_to_be_reached_by_the_best_share_too() -> None:
    rows = [
        {"edu": score, "topic": topic}
        for topic, scores in {"a": (1, 2, 3, 4), "b": (11, 12, 13, 14)}.items()
        for score in scores
    ]
    ran = run(rows, top="50%", by="topic", min_score=4, rounded_at_least=12)
    assert ran.kept == ["d6", "d7"]
    reasons = {key: said["reason"] for key, said in ran.dropped.items()}
    assert reasons["d0"] == reasons["d5"] == "below_top_share"
    assert (reasons["d2"], reasons["d3"]) == ("below_min_score", "below_rounded")
    assert ran.metrics["by_group"]["a"]["kept"] == 0
    assert ran.metrics["by_group"]["b"] == {
        "documents": 4,
        "no_score": 0,
        "kept": 2,
        "kept_of_scored": 0.5,
        "kept_of_bytes": 0.5,
        "threshold": 13,
    }


SCORES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf"), 1e-45]),
    st.floats(width=32),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "edu": SCORES,
            "text": st.text(max_size=5),
            "language": st.sampled_from([None, "en", "de"]),
        }
    ),
    max_size=40,
)


@given(ROWS, st.integers(1, 100), st.sampled_from(["documents", "bytes"]))
@settings(max_examples=200)
def test_what_is_kept_is_what_sorting_each_group_keeps(rows: Rows, percent: int, of: str) -> None:
    ran = run(rows, top=f"{percent}%", by="language", of=of, all_tied="keep")
    expected = set()
    for language in (None, "en", "de"):
        mine = [
            (
                float(np.float32(row["edu"])),
                1 if of == "documents" else len(row["text"].encode()),
                n,
            )
            for n, row in enumerate(rows)
            if row["language"] == language and row["edu"] is not None and row["edu"] == row["edu"]
        ]
        need = max(1, ceil(Fraction(percent, 100) * sum(mass for _, mass, _ in mine)))
        mine.sort(reverse=True)
        threshold, reached = None, 0
        for score, mass, _ in mine:
            threshold, reached = score, reached + mass
            if reached >= need:
                break
        expected |= {f"d{n}" for score, _, n in mine if score >= threshold}
    assert set(ran.kept) == expected
    assert len(ran.kept) + len(ran.dropped) == len(rows)
    assert ran.metrics["kept"] == len(ran.kept)
    assert ran.metrics["no_score"] == sum(
        said["reason"] == "no_score" for said in ran.dropped.values()
    )


@given(ROWS, st.integers(1, 9), st.integers(1, 9), st.integers(1, 100))
@settings(max_examples=50)
def test_shards_and_batches_do_not_matter(
    rows: Rows, shards: int, batch: int, percent: int
) -> None:
    one = run(rows, top=f"{percent}%", by="language", all_tied="keep")
    two = run(rows, shards, batch, top=f"{percent}%", by="language", all_tied="keep")
    assert one == two


def test_whole_numbers_and_doubles_are_scores_too() -> None:
    for kind in (pa.int32(), pa.int64(), pa.float64(), pa.float16()):
        rows: Rows = [{"edu": np.float16(n) if kind == pa.float16() else n} for n in range(4)]
        ran = run_global_step(Keep(column="edu", top="50%"), rows, {"edu": kind})
        assert ran.kept == ["d2", "d3"], kind


@pytest.mark.parametrize(
    ("parameters", "code"),
    [({"column": "topic"}, "not-a-score"), ({"column": "edu", "by": "edu"}, "not-a-group")],
)
def test_columns_of_the_wrong_kind_fail_with_what_they_hold(
    parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(ShardError) as caught:
        run_global_step(Keep(top="50%", **parameters), [{"edu": 1.0, "topic": "a"}], TYPES)
    assert caught.value.code == code
    assert ("large_string" if code == "not-a-score" else "float") in caught.value.message


@pytest.mark.parametrize("rows", [[], [{"edu": None}]])
def test_nothing_to_keep_is_no_error(rows: Rows) -> None:
    ran = run(rows, top="30%")
    assert (ran.kept, ran.metrics["kept"], ran.metrics["documents"]) == ([], 0, len(rows))


def test_the_columns_it_reads_are_declared_where_they_are_named() -> None:
    assert Keep(column="edu", top="1%", by=["topic", "x"]).reads() == {
        ("column",): Column("edu", "numbers"),
        ("by", 0): Column("topic", "groups"),
        ("by", 1): Column("x", "groups"),
    }
    assert set(Keep(column="edu", top="1%", by="topic").reads()) == {("column",), ("by",)}
    assert set(Keep(column="edu", min_score=1).reads()) == {("column",)}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "give `top`"),
        ({"top": "0%"}, "above 0%"),
        ({"top": "100.1%"}, "at most 100%"),
        ({"top": 0.3}, "write one like 30%"),
        ({"top": "top 30%"}, "write one like 30%"),
        ({"top": "1%", "of": "tokens"}, "documents"),
        ({"top": "1%", "by": []}, "at least 1"),
        ({"min_score": float("nan")}, "finite"),
        ({"rounded_at_least": 2.5}, "integer"),
    ],
)
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Keep(column="edu", **parameters)


def test_shares_are_read_exactly() -> None:
    assert parse_share("30%") == Fraction(3, 10)
    assert parse_share(" 0.1 % ") == Fraction(1, 1_000)


def test_editing_a_threshold_reuses_what_was_mapped() -> None:
    assert Keep.map_parameters == {"column", "by", "sources"}
    assert set(Keep.model_fields) - Keep.map_parameters == {
        "top",
        "of",
        "min_score",
        "rounded_at_least",
        "all_tied",
    }


def test_scores_that_are_all_equal_are_refused_and_what_to_do_is_named() -> None:
    with pytest.raises(ShardError) as caught:
        run(scored(*[2.5] * 300), top="50%")
    assert caught.value.code == "scores-tied"
    assert "`edu` does not order these documents: all 300 have 2.5" in caught.value.message
    assert "all_tied: keep" in caught.value.hint


@pytest.mark.parametrize(
    ("all_tied", "kept", "word"), [("keep", 3, "kept"), ("drop", 0, "dropped")]
)
def test_tied_scores_are_kept_or_dropped_whole_where_the_manifest_decides(
    all_tied: str, kept: int, word: str
) -> None:
    ran = run(scored(2, 2, 2), top="50%", all_tied=all_tied)
    assert (len(ran.kept), ran.metrics["kept"]) == (kept, kept)
    assert {said["reason"] for said in ran.dropped.values()} <= {"all_tied"}
    (warning,) = ran.metrics["warnings"]
    assert warning.endswith(f"all 3 have 2, so `top: 50%` {word} all of them")


def test_one_tied_group_among_others_is_kept_with_a_warning() -> None:
    rows = [{"edu": n % 4, "language": "en"} for n in range(40)]
    rows += [{"edu": 1, "language": name} for name in ("de", "de", "fr")]
    ran = run(rows, top="25%", by="language")
    (warning,) = ran.metrics["warnings"]
    assert "the 2 documents of 1 of 3 groups (de)" in warning
    assert ran.metrics["kept"] == 13
    dropped = run(rows, top="25%", by="language", all_tied="drop")
    assert {key for key, said in dropped.dropped.items() if said["reason"] == "all_tied"} == {
        "d40",
        "d41",
    }


def test_groups_of_one_document_have_nothing_to_order() -> None:
    rows = [{"edu": 1.0, "topic": f"t{n}"} for n in range(9)]
    ran = run(rows, top="10%", by="topic")
    assert (ran.metrics["kept"], ran.metrics["warnings"]) == (9, [])


@given(ROWS, st.integers(1, 100), st.sampled_from(["documents", "bytes"]))
@settings(max_examples=50)
def test_refusing_and_keeping_agree_wherever_nothing_is_refused(
    rows: Rows, percent: int, of: str
) -> None:
    parameters = {"top": f"{percent}%", "by": "language", "of": of}
    keeping = run(rows, **parameters, all_tied="keep")
    try:
        refusing = run(rows, **parameters)
    except ShardError:
        # Nothing was cut, which all the same is what `keep` says of it.
        assert keeping.metrics["kept"] == len(rows) - keeping.metrics["no_score"]
        assert keeping.metrics["warnings"]
        return
    assert refusing == keeping


@pytest.mark.parametrize(
    ("scores", "parameters", "expected"),
    [
        ([0, 1, *[5] * 60], {"top": "10%"}, "`top: 10%` kept 96.8 % of the documents that have"),
        (
            [*(n / 1e5 for n in range(60)), *(0.9 + n / 1e3 for n in range(40))],
            {"top": "90%"},
            "the threshold 0.0001 lies in the lowest 1 % of the range of `edu` (0 to 0.939)",
        ),
        (
            [*(n / 1e3 for n in range(40)), *(0.9 + n / 1e6 for n in range(60))],
            {"top": "30%"},
            "lies in the highest 1 % of the range",
        ),
        ([1, 2, 3], {"min_score": 3.5}, "`min_score: 3.5` drops every document: the highest"),
        ([3, 4, 5], {"rounded_at_least": 3}, "`rounded_at_least: 3` drops no document"),
        ([None, None], {"top": "50%"}, "no document has a score `edu`, so none was kept"),
    ],
)
def test_thresholds_that_do_not_do_what_they_seem_to_are_warned_about(
    scores: list[float | None], parameters: dict[str, Any], expected: str
) -> None:
    (warning,) = run(scored(*scores), **parameters).metrics["warnings"]
    assert expected in warning


@pytest.mark.parametrize(
    "parameters",
    [{"top": "30%"}, {"top": "99%"}, {"top": "1%"}, {"min_score": 50}, {"top": "100%"}],
)
def test_ordinary_thresholds_are_not_warned_about(parameters: dict[str, Any]) -> None:
    assert run(scored(*range(100)), **parameters).metrics["warnings"] == []
    grades = scored(*(grade for grade in range(6) for _ in range(20 - 3 * grade)))
    if "min_score" not in parameters:
        assert run(grades, **parameters).metrics["warnings"] == []
