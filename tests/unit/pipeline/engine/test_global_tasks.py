from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards import Write, commit_shards, committed
from tasks import documents

from pipeline.documents import Docs
from pipeline.engine.global_tasks import MAPPED, MapTask, ReduceTask
from pipeline.engine.row_tasks import ARTIFACTS, REDUCED, ApplyTask
from pipeline.engine.stage import CorpusView, StageOutputs, TaskContext
from pipeline.step import FilterResult, GlobalStep, Position, ReduceInput


class KeepLongest(GlobalStep):
    """Keeps the longest documents of the whole corpus."""

    def map(self, docs: Docs) -> pa.RecordBatch:
        lengths = [len(text) for text in docs.text.to_pylist()]
        return pa.record_batch({"length": pa.array(lengths, pa.int64())})

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        lengths = [n for p in reduce_input.mapped for n in pq.read_table(p)["length"].to_pylist()]
        longest = max(lengths, default=0)
        (folder / "longest").write_text(str(longest))
        return {
            "longest": longest,
            "seed": reduce_input.seed,
            "shards": len(reduce_input.documents),
        }

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        longest = int((artifacts / "longest").read_text())
        keep = np.array([len(t) >= longest for t in docs.text.to_pylist()], dtype=bool)
        rows = np.arange(len(docs)) + at.row
        return FilterResult(keep, "shorter", signals={"row": rows, "shard": rows * 0 + at.shard})


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusView:
    shards = {"a-0": documents(["x", "xxx"]), "a-1": documents([]), "b-0": documents(["xx", "xxx"])}
    return CorpusView(commit_shards(tmp_path, shards, "corpus"))


def mapped(corpus: CorpusView) -> StageOutputs:
    """Every shard of the corpus, mapped."""

    def writes(key: str) -> Write:
        return lambda out: MapTask(key, corpus, KeepLongest()).run(TaskContext(out))

    return committed(corpus.base.store, {key: writes(key) for key in corpus.keys}, "map")


def reduced(corpus: CorpusView) -> StageOutputs:
    task = ReduceTask(corpus, mapped(corpus), KeepLongest(), 5)
    return committed(corpus.base.store, {REDUCED: lambda out: task.run(TaskContext(out))}, "reduce")


def test_every_shard_is_mapped_even_an_empty_one(corpus: CorpusView) -> None:
    found = mapped(corpus).outputs(MAPPED)
    assert [pq.read_table(path)["length"].to_pylist() for path in found] == [[1, 3], [], [2, 3]]


def test_reduction_sees_all_shards_in_order(corpus: CorpusView, tmp_path: Path) -> None:
    task = ReduceTask(corpus, mapped(corpus), KeepLongest(), 5)
    result = task.run(TaskContext(tmp_path / "out"))
    assert result.metrics == {"longest": 3, "seed": 5, "shards": 3}
    assert (tmp_path / "out" / ARTIFACTS / "longest").read_text() == "3"


def applied(corpus: CorpusView, artifacts: StageOutputs, out: Path) -> list[list[str]]:
    """Texts that are kept, for each shard."""
    for key in corpus.keys:
        task = ApplyTask(key, corpus, artifacts, "longest", KeepLongest(), (), edits=True)
        task.run(TaskContext(out))
    files = [out / "kept" / f"{key}.parquet" for key in corpus.keys]
    return [pq.read_table(path)["text"].to_pylist() for path in files]


def test_artifacts_are_applied_to_every_shard_with_its_position(
    corpus: CorpusView, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert applied(corpus, reduced(corpus), out) == [["xxx"], [], ["xxx"]]
    (row,) = pq.read_table(out / "dropped_rows" / "b-0.parquet").to_pylist()
    assert (row["step"], row["reason"]) == ("longest", "shorter")
    assert row["signals"] == '{"row":0,"shard":2}'


def test_shards_are_numbered_without_those_that_are_missing(
    corpus: CorpusView, tmp_path: Path
) -> None:
    corpus.base.missing.add("a-1")
    assert applied(corpus, reduced(corpus), tmp_path / "out") == [["xxx"], ["xxx"]]
    (row,) = pq.read_table(tmp_path / "out" / "dropped_rows" / "b-0.parquet").to_pylist()
    assert row["signals"] == '{"row":0,"shard":1}'


def test_artifacts_that_are_not_committed_stop_the_application(
    corpus: CorpusView, tmp_path: Path
) -> None:
    missing = StageOutputs(tmp_path, (REDUCED,))
    task = ApplyTask("a-0", corpus, missing, "longest", KeepLongest(), (), edits=False)
    with pytest.raises(FileNotFoundError):
        task.run(TaskContext(tmp_path / "x"))


class Patient(KeepLongest):
    """Tells how far its conclusion is."""

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        for done in range(3):
            reduce_input.progress(done, 2)
        return {}


def test_a_conclusion_tells_how_far_it_is(corpus: CorpusView, tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    context = TaskContext(tmp_path / "found", lambda done, total: told.append((done, total)))
    ReduceTask(corpus, mapped(corpus), Patient(), seed=1).run(context)
    assert told == [(0, 2), (1, 2), (2, 2)]
