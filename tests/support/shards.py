"""Committed stages made by hand, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.engine.commit import commit
from pipeline.engine.stage import KEPT, StageOutputs, Task, TaskContext, TaskResult
from pipeline.parquet import DocumentWriter

# Writes a task's files into the folder that it is given.
Write = Callable[[Path], object]


class Nothing:
    """A task that is never run."""

    def run(self, context: TaskContext) -> TaskResult:
        raise AssertionError


def committed(store: Path, tasks: Mapping[str, Write], name: str = "s") -> StageOutputs:
    """A stage of ``store`` whose tasks have left what these functions write, as the engine
    commits it."""
    outputs = StageOutputs(store, tuple(tasks), {key: f"{name}-{key}" for key in tasks})
    for key, write in tasks.items():
        out = store / "tmp" / name / key
        out.mkdir(parents=True)
        write(out)
        task = Task(key, Nothing(), fingerprint=outputs.fingerprints[key])
        commit(store, name, task, out, TaskResult())
    return outputs


def commit_shards(
    store: Path, shards: Mapping[str, pa.RecordBatch], name: str = "s"
) -> StageOutputs:
    """A stage that keeps these documents, a shard for each key."""

    def writes(key: str, batch: pa.RecordBatch) -> Write:
        def write(out: Path) -> None:
            with DocumentWriter(out / f"{KEPT}{key}.parquet", DOCUMENT_SCHEMA) as writer:
                writer.write(batch)

        return write

    return committed(store, {key: writes(key, batch) for key, batch in shards.items()}, name)
