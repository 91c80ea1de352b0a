from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from classifiers.scores.ensemble import Ensemble
from classifiers.scores.keep import Keep
from pipeline.errors import ShardError
from pipeline.step import Column
from winnow.testing import StepRun, run_global_step

TYPES = {"a": pa.float32(), "b": pa.float32(), "c": pa.float64()}
Rows = list[dict[str, Any]]


def run(rows: Rows, shards: int = 1, batch: int = 4_096, **parameters: Any) -> StepRun:
    step = Ensemble(**{"columns": ["a", "b"], "bins": 4, **parameters})
    return run_global_step(step, rows, TYPES, shards, batch)


def buckets(ran: StepRun) -> list[int | None]:
    return [added["quality_bucket"] for added in ran.columns.values()]


def test_bins_hold_equal_shares_and_the_highest_counts() -> None:
    rows = [{"a": float(n), "b": -float(n)} for n in range(8)]
    assert buckets(run(rows, columns=["a"])) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert buckets(run(rows)) == [3, 3, 2, 2, 2, 2, 3, 3]


def test_scorers_on_other_scales_join_alike() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(50)
    plain = [{"a": score, "b": other} for score, other in zip(scores, rng.random(50), strict=True)]
    scaled = [{**row, "b": np.exp(9 * row["b"]) - 5_000} for row in plain]
    assert buckets(run(plain)) == buckets(run(scaled))


def test_bins_are_of_bytes_unless_documents_are_asked_for() -> None:
    rows = [{"a": 0.0, "text": "x" * 30}, *({"a": float(n), "text": "xx"} for n in range(1, 6))]
    assert buckets(run(rows, columns=["a"], bins=2)) == [1] * 6
    assert buckets(run(rows, columns=["a"], bins=2, of="documents")) == [0, 0, 0, 1, 1, 1]


def test_equal_scores_are_in_one_bin_the_highest_they_reach() -> None:
    rows = [{"a": score} for score in (0.0, 0.0, 0.0, 1.0)]
    assert buckets(run(rows, columns=["a"])) == [2, 2, 2, 3]
    assert buckets(run([{"a": 0.5}] * 3, columns=["a"])) == [3, 3, 3]


def test_a_document_is_judged_by_the_scores_that_it_has() -> None:
    rows = [
        {"a": 1.0, "b": None},
        {"a": None, "b": 2.0},
        {"a": float("nan"), "b": 1.0},
        {"a": 2.0, "b": float("nan")},
        {"a": None, "b": None},
    ]
    ran = run(rows, bins=2)
    assert buckets(ran) == [0, 1, 0, 1, None]
    assert ran.kept == ["d0", "d1", "d2", "d3", "d4"]
    assert ran.metrics["without_any_score"] == 1
    assert ran.metrics["scored"] == {"a": 2, "b": 2}


def test_a_scorer_that_scored_nothing_counts_for_nothing() -> None:
    rows = [{"a": float(n), "b": None} for n in range(4)]
    ran = run(rows)
    assert buckets(ran) == [0, 1, 2, 3]
    assert ran.metrics["scored"] == {"a": 4, "b": 0}
    assert buckets(run(rows, columns=["b"])) == [None] * 4


def test_the_bucket_is_a_32_bit_integer_even_without_documents() -> None:
    step = Ensemble(columns=["a"], column="level")
    assert step.adds() == {"level": pa.int32()}
    ran = run_global_step(step, [], TYPES)
    assert (ran.metrics["documents"], ran.tables["cuts.parquet"]) == (0, [])


def test_buckets_add_up_to_all_documents_and_bytes() -> None:
    rows = [{"a": float(n % 7), "b": float(n % 3), "text": "x" * n} for n in range(30)]
    ran = run([*rows, {"text": "unscored"}], bins=20)
    counts = ran.metrics["buckets"].values()
    assert ran.metrics["documents"] == 31
    assert sum(count["documents"] for count in counts) == 30
    assert sum(count["bytes"] for count in counts) == sum(range(30))
    for number, count in ran.metrics["buckets"].items():
        assert buckets(ran).count(int(number)) == count["documents"]


SCORES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, 1e-45, float("nan"), float("inf"), float("-inf")]),
    st.floats(width=32),
)
ROWS = st.lists(
    st.fixed_dictionaries({"a": SCORES, "b": SCORES, "text": st.text(max_size=4)}), max_size=30
)


def kept_by_share(rows: Rows, column: str, bins: int, number: int) -> set[str]:
    """What `keep` leaves of the best ``bins - number`` of ``bins``."""
    top = f"{100 * (bins - number) / bins}%"
    step = Keep(column=column, top=top, of="bytes", all_tied="keep")
    return set(run_global_step(step, rows, TYPES).kept)


@given(ROWS, st.sampled_from([2, 4, 5, 20]))
@settings(max_examples=40)
def test_a_bin_or_higher_is_what_keep_leaves_of_that_share(rows: Rows, bins: int) -> None:
    ran = run(rows, columns=["a"], bins=bins)
    for number in range(1, bins):
        at_or_above = {
            key for key, added in ran.columns.items() if (added["quality_bucket"] or 0) >= number
        }
        assert at_or_above == kept_by_share(rows, "a", bins, number)


@given(ROWS, st.integers(2, 20))
@settings(max_examples=100)
def test_the_bucket_is_the_highest_bin_of_all_scorers(rows: Rows, bins: int) -> None:
    one, two = (buckets(run(rows, columns=[name], bins=bins)) for name in ("a", "b"))
    both = buckets(run(rows, bins=bins))
    pairs = zip(one, two, strict=True)
    assert both == [max((x for x in pair if x is not None), default=None) for pair in pairs]


@given(ROWS, st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=50)
def test_shards_and_batches_do_not_matter(rows: Rows, shards: int, batch: int) -> None:
    assert run(rows) == run(rows, shards, batch)


def test_cuts_are_near_what_published_code_makes_of_continuous_scores() -> None:
    """The inverted distribution function of Nemotron-CC's code, and ``np.digitize``."""
    rng = np.random.default_rng(5)
    scores, sizes = rng.random(1_000).astype(np.float32), rng.integers(1, 400, 1_000)
    order = np.argsort(scores)
    share = np.cumsum(sizes[order]) / sizes.sum()
    cuts = scores[order][np.searchsorted(share, np.arange(5, 100, 5) / 100)]
    rows = [{"a": s, "text": "x" * n} for s, n in zip(scores.tolist(), sizes.tolist(), strict=True)]
    ran = run(rows, columns=["a"], bins=20)
    assert buckets(ran) == np.digitize(scores, cuts).tolist()
    assert [row["least_score"] for row in ran.tables["cuts.parquet"]] == cuts.tolist()


def test_a_column_of_text_is_no_score() -> None:
    with pytest.raises(ShardError, match="large_string") as caught:
        run_global_step(Ensemble(columns=["topic"]), [{"topic": "x"}], {"topic": pa.large_string()})
    assert caught.value.code == "not-a-score"


def test_the_columns_it_reads_and_adds_are_declared() -> None:
    step = Ensemble(columns=["a", "bb"], column="b")
    assert step.reads() == {
        ("columns", 0): Column("a", "numbers"),
        ("columns", 1): Column("bb", "numbers"),
    }
    assert step.adds() == {"b": pa.int32()}


@pytest.mark.parametrize(
    "parameters",
    [{"columns": []}, {"columns": ["a"], "bins": 1}, {"columns": ["a"], "of": "tokens"}, {}],
)
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Ensemble(**parameters)


def test_editing_bins_reuses_what_was_observed() -> None:
    assert Ensemble.map_parameters == {"columns"}


def test_a_score_that_orders_nothing_is_warned_about() -> None:
    rows = [{"a": 2.5, "b": float(n)} for n in range(4)]
    (warning,) = run(rows, bins=2).metrics["warnings"]
    assert "`a` does not order documents: all have 2.5" in warning
    (warning,) = run([{"b": 1.0}, {"b": 2.0}], bins=2).metrics["warnings"]
    assert warning == "no document has a score `a`"
