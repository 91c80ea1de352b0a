"""Runs a global step over shards in memory as the engine does: observe, conclude, judge."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.step import GlobalStep, Position, ReduceInput

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Ran:
    """``kept`` ids in order; ``dropped`` id → reason and signals; ``columns`` id → what was
    appended; ``files`` name → bytes; ``tables`` name → rows of the Parquet artifacts."""

    metrics: Mapping[str, Any]
    kept: list[str]
    dropped: dict[str, dict[str, Any]]
    columns: dict[str, dict[str, Any]]
    files: dict[str, bytes]
    tables: dict[str, list[dict[str, Any]]]


def documents(rows: Rows, types: Mapping[str, pa.DataType], first: int = 0) -> pa.RecordBatch:
    """Documents from rows; fields that are missing are made up. ``types`` are those of columns
    that steps have added."""
    made = [
        {
            "id": f"d{offset}",
            "text": "text",
            "source": "web",
            "_source": "web.jsonl",
            "_offset": offset,
            **row,
        }
        for offset, row in enumerate(rows, first)
    ]
    fields = [pa.field(name, kind) for name, kind in types.items()]
    return pa.RecordBatch.from_pylist(made, schema=pa.schema([*DOCUMENT_SCHEMA, *fields]))


def run_global_step(
    step: GlobalStep,
    rows: Rows,
    types: Mapping[str, pa.DataType],
    shards: int = 1,
    batch: int = 4_096,
) -> Ran:
    """``rows`` in order, cut into ``shards`` and these into batches."""
    size = max(1, -(-len(rows) // shards))
    starts = [number * size for number in range(shards)]
    parts = [documents(rows[start : start + size], types, start) for start in starts]
    with tempfile.TemporaryDirectory() as name:
        folder, artifacts = Path(name), Path(name) / "artifacts"
        artifacts.mkdir()
        cut = [[p.slice(at, batch) for at in range(0, max(1, len(p)), batch)] for p in parts]
        reduce_input = _observe(step, cut, folder)
        metrics = step.reduce(reduce_input, artifacts)
        ran = Ran(metrics, [], {}, {}, {}, {})
        for shard, pieces in enumerate(cut):
            row = 0
            for piece in pieces:
                _judge(step, Docs(piece), artifacts, Position(shard, row), ran)
                row += len(piece)
        for path in sorted(artifacts.iterdir()):
            ran.files[path.name] = path.read_bytes()
            if path.suffix == ".parquet":
                ran.tables[path.name] = pq.read_table(path).to_pylist()
    return ran


def _observe(step: GlobalStep, cut: list[list[pa.RecordBatch]], folder: Path) -> ReduceInput:
    mapped, shards = [], []
    for number, pieces in enumerate(cut):
        mapped.append(folder / f"observed-{number}.parquet")
        shards.append(folder / f"documents-{number}.parquet")
        seen = pa.Table.from_batches([step.map(Docs(piece)) for piece in pieces])
        pq.write_table(seen, mapped[-1], compression="none")
        pq.write_table(pa.Table.from_batches(pieces), shards[-1])
    return ReduceInput(tuple(mapped), tuple(shards), seed=7)


def _judge(step: GlobalStep, docs: Docs, artifacts: Path, at: Position, ran: Ran) -> None:
    verdict = step.apply(docs, artifacts, at)
    assert len(verdict.keep) == len(docs)
    signals = {name: pa.array(values).to_pylist() for name, values in verdict.signals.items()}
    added = docs.with_columns(verdict.columns).batch.select([*step.adds()]).to_pylist()
    for row, key in enumerate(docs.column("id").to_pylist()):
        ran.columns[key] = added[row]
        if verdict.keep[row]:
            ran.kept.append(key)
            continue
        reason = verdict.reason if isinstance(verdict.reason, str) else verdict.reason[row]
        # What was not measured is null or NaN and is left out, as in the files of a run.
        measured = {k: v[row] for k, v in signals.items() if v[row] is not None}
        measured = {k: value for k, value in measured.items() if value == value}
        ran.dropped[key] = {"reason": reason, **measured}
