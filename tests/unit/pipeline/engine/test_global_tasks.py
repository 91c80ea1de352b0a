from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards import commit_shards
from tasks import documents

from pipeline.documents import Docs
from pipeline.engine.global_tasks import MapTask, ReduceTask
from pipeline.engine.row_tasks import ARTIFACTS, ApplyTask
from pipeline.engine.stage import StageOutputs, TaskContext
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
def corpus(tmp_path: Path) -> StageOutputs:
    shards = {"a-0": documents(["x", "xxx"]), "a-1": documents([]), "b-0": documents(["xx", "xxx"])}
    return commit_shards(tmp_path / "corpus", shards)


def observed(corpus: StageOutputs, folder: Path) -> StageOutputs:
    for key in corpus.keys:
        MapTask(key, corpus, KeepLongest()).run(TaskContext(folder))
    return commit_shards(folder, dict.fromkeys(corpus.keys), under="observed/")


def test_every_shard_is_observed_even_an_empty_one(corpus: StageOutputs, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    lengths = [pq.read_table(path)["length"].to_pylist() for path in found.outputs("observed/")]
    assert lengths == [[1, 3], [], [2, 3]]


def test_conclusion_sees_all_shards_in_order(corpus: StageOutputs, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    outcome = ReduceTask(corpus, found, KeepLongest(), 5).run(TaskContext(tmp_path / "concluded"))
    assert outcome.metrics == {"longest": 3, "seed": 5, "shards": 3}
    assert (tmp_path / "concluded" / ARTIFACTS / "longest").read_text() == "3"


def test_conclusion_is_applied_to_every_shard_with_its_position(
    corpus: StageOutputs, tmp_path: Path
) -> None:
    found = observed(corpus, tmp_path / "observed")
    folder = tmp_path / "concluded"
    ReduceTask(corpus, found, KeepLongest(), 5).run(TaskContext(folder))
    artifacts = commit_shards(folder, {"artifacts": None}, under=None)
    out = tmp_path / "applied"
    for number, key in enumerate(corpus.keys):
        ApplyTask(key, number, corpus, artifacts, "longest", KeepLongest()).run(TaskContext(out))
    kept = [
        pq.read_table(out / "kept" / f"{key}.parquet")["text"].to_pylist() for key in corpus.keys
    ]
    assert kept == [["xxx"], [], ["xxx"]]
    (row,) = pq.read_table(out / "dropped" / "b-0.parquet").to_pylist()
    assert (row["step"], row["reason"]) == ("longest", "shorter")
    assert row["signals"] == '{"row":0,"shard":2}'


def test_findings_that_are_not_committed_stop_the_application(
    corpus: StageOutputs, tmp_path: Path
) -> None:
    missing = StageOutputs(tmp_path / "nowhere", ("artifacts",))
    with pytest.raises(FileNotFoundError):
        ApplyTask("a-0", 0, corpus, missing, "longest", KeepLongest()).run(
            TaskContext(tmp_path / "x")
        )


class Patient(KeepLongest):
    """Tells how far its conclusion is."""

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        for done in range(3):
            reduce_input.progress(done, 2)
        return {}


def test_a_conclusion_tells_how_far_it_is(corpus: StageOutputs, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    told: list[tuple[float, float]] = []
    context = TaskContext(tmp_path / "found", lambda done, total: told.append((done, total)))
    ReduceTask(corpus, found, Patient(), seed=1).run(context)
    assert told == [(0, 2), (1, 2), (2, 2)]
