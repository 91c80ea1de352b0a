"""The assertions of ``winnow.testing`` hold for sound steps and fail for those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from winnow import Docs, FilterResult, GlobalStep, Position, ReduceInput, RowStep
from winnow.testing import assert_same_when_split, run_row_step

TEXTS = [f"text number {n}" for n in range(7)]


class Sound(RowStep):
    """Drops a third of all documents and measures the others, NaN among them."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"measured": pa.float64()}

    def filter(self, docs: Docs) -> FilterResult:
        last = np.array([int(text[-1]) for text in docs.text.to_pylist()])
        measured = np.where(last == 4, np.nan, last / 3)
        return FilterResult(last % 3 > 0, reason="third", columns={"measured": measured})


class KeepsFirstOfBatch(RowStep):
    def filter(self, docs: Docs) -> FilterResult:
        return FilterResult(np.arange(len(docs)) == 0, reason="not the first")


class NumbersRowsOfBatch(RowStep):
    def adds(self) -> dict[str, pa.DataType]:
        return {"number": pa.int64()}

    def filter(self, docs: Docs) -> FilterResult:
        numbers = np.arange(len(docs))
        return FilterResult(np.ones(len(docs), np.bool_), columns={"number": numbers})


class ZeroByBatch(RowStep):
    """Its zeros are equal as numbers, and not as bytes."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"zero": pa.float64()}

    def filter(self, docs: Docs) -> FilterResult:
        zeros = np.full(len(docs), -0.0 if len(docs) > 3 else 0.0)
        return FilterResult(np.ones(len(docs), np.bool_), columns={"zero": zeros})


class KeepsFirstShard(GlobalStep):
    def map(self, docs: Docs) -> pa.RecordBatch:
        return pa.record_batch({"id": docs.column("id")})

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        return {}

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        return FilterResult(np.full(len(docs), at.shard == 0), reason="another shard")


def test_a_step_that_looks_at_documents_alone_gives_the_same_bytes() -> None:
    assert_same_when_split(Sound(), TEXTS)
    assert_same_when_split(Sound(), [])


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (KeepsFirstOfBatch(), "kept differ"),
        (NumbersRowsOfBatch(), "the bytes of what is kept differ"),
        (ZeroByBatch(), "the bytes of what is kept differ"),
        (KeepsFirstShard(), "kept differ"),
    ],
)
def test_a_step_that_depends_on_batches_or_shards_is_found(
    step: RowStep | GlobalStep, part: str
) -> None:
    with pytest.raises(AssertionError, match=part):
        assert_same_when_split(step, TEXTS)


def test_documents_are_cut_into_shards_in_order() -> None:
    ran = run_row_step(Sound(), TEXTS, batch=2, shards=3)
    assert [len(batch) for batch in ran.batches] == [1, 1, 1, 1, 0]
    assert ran.kept == ["d1", "d2", "d4", "d5"]
