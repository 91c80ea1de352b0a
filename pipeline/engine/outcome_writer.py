"""Where the rows of a task leave: every one into one of three folders.

``kept/``, ``dropped/`` with step, reason and measured signals, or ``quarantine/`` with a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, Docs
from pipeline.engine.stage import DROPPED, KEPT, QUARANTINE, Count, Counts
from pipeline.engine.step_results import CheckedResult
from pipeline.parquet import DocumentWriter
from pipeline.sources.source import Read

DROPPED_FIELDS = (
    pa.field("step", pa.large_string(), nullable=False),
    pa.field("reason", pa.large_string(), nullable=False),
    pa.field("signals", pa.large_string(), nullable=False),
)


@dataclass
class OutcomeWriter:
    """Where rows leave. Counts and writes them as steps decide."""

    out: Path
    key: str
    counts: Counts = field(default_factory=Counts)

    def __enter__(self) -> OutcomeWriter:
        self._stack = ExitStack()
        self._kept = self._writer(KEPT, DOCUMENT_SCHEMA)
        schema = DOCUMENT_SCHEMA
        for extra in DROPPED_FIELDS:
            schema = schema.append(extra)
        self._dropped = self._writer(DROPPED, schema)
        self._quarantine: DocumentWriter | None = None
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _writer(self, door: str, schema: pa.Schema) -> DocumentWriter:
        writer = DocumentWriter(self.out / door / f"{self.key}.parquet", schema)
        return self._stack.enter_context(writer)

    def met(self, read: Read) -> None:
        """Count what the reader met; bad rows leave at once."""
        if read.documents is not None:
            self.counts.rows += read.documents.num_rows
        if read.quarantined is not None and read.quarantined.num_rows:
            self.counts.rows += read.quarantined.num_rows
            for code in read.quarantined.column("code").to_pylist():
                self.counts.quarantined[code] = self.counts.quarantined.get(code, 0) + 1
            if self._quarantine is None:
                self._quarantine = self._writer(QUARANTINE, QUARANTINE_SCHEMA)
            self._quarantine.write(read.quarantined)

    def settle(self, docs: Docs, label: str, result: CheckedResult, *, last: bool) -> Docs:
        """Let the dropped leave and give back the rest; after the ``last`` step they are kept."""
        before = self.counts.entered.get(label, Count())
        self.counts.entered[label] = before + _tally(docs.batch)
        self.counts.dropped.setdefault(label, {})
        if not result.keep.all():
            self._drop(docs, label, result)
        if result.text is not None:
            docs = docs.with_text(result.text)
        if result.columns:
            docs = docs.with_columns(result.columns)
        docs = docs.filter(result.keep)
        if last:
            self.keep(docs)
        return docs

    def keep(self, docs: Docs) -> None:
        self.counts.kept = self.counts.kept + _tally(docs.batch)
        for source, tally in _tallies(docs.batch, docs.column("source")).items():
            self.counts.by_source[source] = self.counts.by_source.get(source, Count()) + tally
        self._kept.write(docs.batch)

    def _drop(self, docs: Docs, label: str, result: CheckedResult) -> None:
        rows = np.flatnonzero(~result.keep)
        gone = docs.batch.take(pa.array(rows)).select(DOCUMENT_SCHEMA.names)
        reasons = result.reasons
        for reason, tally in _tallies(gone, pa.array(reasons, pa.large_string())).items():
            total = self.counts.dropped[label].get(reason, Count())
            self.counts.dropped[label][reason] = total + tally
        extras = ([label] * len(rows), reasons, _signals(result.signals, rows))
        for extra, values in zip(DROPPED_FIELDS, extras, strict=True):
            gone = gone.append_column(extra, pa.array(values, extra.type))
        self._dropped.write(gone)


def _signals(signals: Mapping[str, pa.Array], rows: npt.NDArray[np.int64]) -> list[str]:
    """What was measured of ``rows``, one JSON object each; NaN, not measured, is left out."""
    columns = {name: values.take(pa.array(rows)).to_pylist() for name, values in signals.items()}
    return [
        orjson.dumps(
            {k: v[i] for k, v in columns.items() if v[i] is not None and v[i] == v[i]}
        ).decode()
        for i in range(len(rows))
    ]


def _tally(batch: pa.RecordBatch) -> Count:
    size = pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
    return Count(documents=batch.num_rows, bytes=size)


def _tallies(batch: pa.RecordBatch, groups: pa.Array) -> dict[str, Count]:
    sizes = pc.binary_length(batch.column("text"))
    table = pa.table({"group": groups, "size": sizes})
    grouped = table.group_by("group", use_threads=False).aggregate(
        [("size", "count"), ("size", "sum")]
    )
    return {
        row["group"]: Count(documents=row["size_count"], bytes=row["size_sum"])
        for row in grouped.to_pylist()
    }
