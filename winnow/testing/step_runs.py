"""Runs steps on documents in memory as the engine does, with the engine's checks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.documents import MAX_BATCH_ROWS, Docs
from pipeline.engine.step_results import CheckedResult, applied, filtered, mapped, reduced
from pipeline.parquet import DocumentWriter
from pipeline.shard_documents import ShardDocuments
from pipeline.step import GlobalStep, Position, ReduceInput, RowStep, Step
from winnow.testing.documents import documents

Rows = Sequence[str | Mapping[str, Any]]
Types = Mapping[str, pa.DataType]
SEED = 7  # what global steps get as the manifest's


@dataclass
class StepRun:
    """What a step did with documents.

    ``kept`` are ids in order; ``dropped`` is id → reason and signals; ``columns`` is id → what was
    appended, ``texts`` id → the text afterwards, both of all documents; ``batches`` are the kept
    documents with what was appended. Of a global step also its ``metrics``, its artifacts by name
    as ``files`` (bytes), and the Parquet ones as ``tables`` (rows).
    """

    kept: list[str] = field(default_factory=list)
    dropped: dict[str, dict[str, Any]] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # Not compared: the same documents may have come in other batches.
    batches: list[pa.RecordBatch] = field(default_factory=list, compare=False)

    def add(self, step: Step, docs: Docs, result: CheckedResult) -> None:
        """Note the ``result`` of one batch."""
        if result.text is not None:
            docs = docs.with_text(result.text)
        docs = docs.with_columns(result.columns)
        self.batches.append(docs.filter(result.keep).batch)
        added = docs.batch.select([*step.adds()]).to_pylist()
        signals = {name: values.to_pylist() for name, values in result.signals.items()}
        reasons = iter(result.reasons)
        for row, key in enumerate(docs.column("id").to_pylist()):
            self.columns[key] = added[row]
            self.texts[key] = docs.text[row].as_py()
            if result.keep[row]:
                self.kept.append(key)
                continue
            # What was not measured is null or NaN and is left out, as in the files of a run.
            measured = {name: v[row] for name, v in signals.items() if v[row] is not None}
            measured = {name: value for name, value in measured.items() if value == value}
            self.dropped[key] = {"reason": next(reasons), **measured}


def run_row_step(
    step: RowStep,
    rows: Rows,
    types: Types | None = None,
    batch: int = MAX_BATCH_ROWS,
    shards: int = 1,
) -> StepRun:
    """``step`` on documents (see ``documents``), cut in order into ``shards`` and these into
    batches of at most ``batch``."""
    ran = StepRun()
    for piece in (piece for pieces in _cut(rows, types, shards, batch) for piece in pieces):
        docs = Docs(piece)
        ran.add(step, docs, filtered(step, docs))
    return ran


def run_global_step(
    step: GlobalStep,
    rows: Rows,
    types: Types | None = None,
    shards: int = 1,
    batch: int = MAX_BATCH_ROWS,
) -> StepRun:
    """``step`` on documents (see ``documents``), cut in order into ``shards`` and these into
    batches of at most ``batch``."""
    cut = _cut(rows, types, shards, batch)
    ran = StepRun()
    with tempfile.TemporaryDirectory() as name:
        folder, artifacts = Path(name), Path(name) / "artifacts"
        artifacts.mkdir()
        ran.metrics = reduced(step, _map(step, cut, folder), artifacts)
        for shard, pieces in enumerate(cut):
            row = 0
            for piece in pieces:
                docs = Docs(piece)
                ran.add(step, docs, applied(step, docs, artifacts, Position(shard, row)))
                row += len(piece)
        for path in sorted(artifacts.iterdir()):
            ran.files[path.name] = path.read_bytes()
            if path.suffix == ".parquet":
                ran.tables[path.name] = pq.read_table(path).to_pylist()
    return ran


def assert_accounted(step: RowStep | GlobalStep, rows: Rows, types: Types | None = None) -> None:
    """Every document is kept or dropped, once, and every dropped one has a reason."""
    ran = _run(step, rows, types, 1, MAX_BATCH_ROWS)
    given = documents(rows, types).column("id").to_pylist()
    assert sorted([*ran.kept, *ran.dropped]) == sorted(given)
    assert all(found["reason"] for found in ran.dropped.values())


def assert_same_when_split(
    step: RowStep | GlobalStep, rows: Rows, types: Types | None = None
) -> None:
    """The documents that are kept are the same bytes, in the order of the rows, and the others are
    dropped with the same reasons and signals, whatever the number of shards and the size of
    batches. Of a global step the metrics are the same too."""
    whole = _run(step, rows, types, 1, MAX_BATCH_ROWS)
    for shards, batch in ((1, 1), (2, 3), (3, 2), (len(rows) + 1, 1)):
        again = _run(step, rows, types, shards, batch)
        cut = f"with {shards} shards and batches of {batch}"
        for part in ("kept", "dropped", "texts", "metrics"):
            one, other = getattr(whole, part), getattr(again, part)
            assert one == other, f"{part} differ {cut}"
        assert _bytes(whole) == _bytes(again), f"the bytes of what is kept differ {cut}"


def _bytes(ran: StepRun) -> bytes:
    """The kept documents as one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept.parquet"
        with DocumentWriter(path, ran.batches[0].schema) as writer:
            for batch in ran.batches:
                writer.write(batch)
        return path.read_bytes()


def _cut(rows: Rows, types: Types | None, shards: int, batch: int) -> list[list[pa.RecordBatch]]:
    """The documents in order, as batches of at most ``batch`` by shard."""
    size = max(1, -(-len(rows) // shards))
    starts = [number * size for number in range(shards)]
    parts = [documents(rows[start : start + size], types, first=start) for start in starts]
    return [_batches(part, batch) for part in parts]


def _run(
    step: RowStep | GlobalStep, rows: Rows, types: Types | None, shards: int, batch: int
) -> StepRun:
    if isinstance(step, GlobalStep):
        return run_global_step(step, rows, types, shards, batch)
    return run_row_step(step, rows, types, batch, shards)


def _batches(whole: pa.RecordBatch, size: int) -> list[pa.RecordBatch]:
    """At least one, which may be without rows."""
    return [whole.slice(at, size) for at in range(0, max(1, len(whole)), size)]


def _map(step: GlobalStep, cut: list[list[pa.RecordBatch]], folder: Path) -> ReduceInput:
    found, shards = [], []
    for number, pieces in enumerate(cut):
        found.append(folder / f"mapped-{number}.parquet")
        shards.append(folder / f"documents-{number}.parquet")
        seen = pa.Table.from_batches([mapped(step, Docs(piece), None) for piece in pieces])
        pq.write_table(seen, found[-1], compression="none")
        pq.write_table(pa.Table.from_batches(pieces), shards[-1])
    return ReduceInput(tuple(found), tuple(map(ShardDocuments, shards)), seed=SEED)
