"""Runs a global step over small shards as the engine does: observe, conclude, judge."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.shard_documents import ShardDocuments
from pipeline.step import GlobalStep, Position, ReduceInput

Shards = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Ran:
    """``dropped`` is id → what was said of the document; ``files`` is name → bytes."""

    metrics: Mapping[str, Any]
    kept: list[str]
    dropped: dict[str, dict[str, Any]]
    files: dict[str, bytes]


def batch_of(rows: Sequence[tuple[str, str]]) -> pa.RecordBatch:
    documents = [
        {"id": key, "text": text, "source": "test", "_source": "test", "_offset": offset}
        for offset, (key, text) in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(documents, schema=DOCUMENT_SCHEMA)


def run(step: GlobalStep, shards: Shards, batch: int = 4_096) -> Ran:
    """``shards`` are lists of (id, text); ids are unique."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifacts = folder / "artifacts"
        artifacts.mkdir()
        tables = [pa.Table.from_batches([batch_of(rows)]) for rows in shards]
        batches = [
            [Docs(part) for part in table.to_batches(max_chunksize=batch)] for table in tables
        ]
        for i, (table, parts) in enumerate(zip(tables, batches, strict=True)):
            pq.write_table(table, folder / f"documents-{i}.parquet")
            observed = [step.map(docs) for docs in parts] or [step.map(Docs(batch_of([])))]
            pq.write_table(pa.Table.from_batches(observed), folder / f"mapped-{i}.parquet")
        numbers = range(len(shards))
        reduce_input = ReduceInput(
            tuple(folder / f"mapped-{i}.parquet" for i in numbers),
            tuple(ShardDocuments(folder / f"documents-{i}.parquet") for i in numbers),
            seed=0,
        )
        metrics = step.reduce(reduce_input, artifacts)
        kept: list[str] = []
        dropped: dict[str, dict[str, Any]] = {}
        for shard, parts in enumerate(batches):
            row = 0
            for docs in parts:
                _judge(step, docs, artifacts, Position(shard, row), kept, dropped)
                row += len(docs)
        files = {path.name: path.read_bytes() for path in artifacts.iterdir()}
    return Ran(metrics, kept, dropped, files)


def _judge(
    step: GlobalStep,
    docs: Docs,
    artifacts: Path,
    at: Position,
    kept: list[str],
    dropped: dict[str, dict[str, Any]],
) -> None:
    verdict = step.apply(docs, artifacts, at)
    signals = {name: pa.array(values).to_pylist() for name, values in verdict.signals.items()}
    assert len(verdict.keep) == len(docs)
    for i, key in enumerate(docs.column("id").to_pylist()):
        said = {name: values[i] for name, values in signals.items()}
        if verdict.keep[i]:
            assert set(said.values()) == {None}
            kept.append(key)
        else:
            dropped[key] = {"reason": verdict.reason, **said}


@pytest.fixture(scope="session")
def run_step() -> Callable[..., Ran]:
    return run
