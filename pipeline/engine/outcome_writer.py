"""Where rows leave a task: counted, and written as steps decide.

Every row that comes in leaves into one of three folders: ``kept/``, ``dropped/`` with step,
reason and measured signals, or ``quarantine/`` with a code. Documents are written once, where they
are read: later stages write into ``kept_rows/`` and ``dropped_rows/`` which of them stay and go,
save those that edit texts, which write those that stay anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, Docs
from pipeline.engine.stage import (
    DROPPED,
    DROPPED_ROWS,
    KEPT,
    KEPT_ROWS,
    QUARANTINE,
    Count,
    Counts,
)
from pipeline.engine.step_results import CheckedResult
from pipeline.parquet import DocumentWriter
from pipeline.shard_documents import write_annotation
from pipeline.sources.source import Read

Rows = npt.NDArray[np.int64]

DROPPED_FIELDS = (
    pa.field("step", pa.large_string(), nullable=False),
    pa.field("reason", pa.large_string(), nullable=False),
    pa.field("signals", pa.large_string(), nullable=False),
)


class OutcomeWriter:
    """Where rows leave. Counts and writes them as steps decide."""

    def __init__(self, out: Path, key: str) -> None:
        self.counts = Counts()
        self._out = out
        self._key = key
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def met(self, read: Read) -> None:
        """Count what the reader met."""
        self.counts.rows += read.rows

    def settle(self, docs: Docs, label: str, result: CheckedResult) -> Docs:
        """Let the dropped leave and give back the rest."""
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
        self.decided(result)
        return docs

    def keep(self, docs: Docs) -> None:
        """These are left after the last step."""
        self.counts.kept = self.counts.kept + _tally(docs.batch)
        sizes = pc.binary_length(docs.text)
        for source, tally in _tallies(sizes, docs.column("source")).items():
            self.counts.by_source[source] = self.counts.by_source.get(source, Count()) + tally
        self.write_kept(docs)

    def decided(self, result: CheckedResult) -> None:
        """A step has decided on the batch at hand."""

    def write_kept(self, docs: Docs) -> None:
        raise NotImplementedError

    def write_dropped(self, docs: Docs, rows: Rows, why: Mapping[str, pa.Array]) -> None:
        """``rows`` of ``docs`` go; ``why`` are step, reason and signals of each."""
        raise NotImplementedError

    def _drop(self, docs: Docs, label: str, result: CheckedResult) -> None:
        rows = np.flatnonzero(~result.keep)
        reasons = pa.array(result.reasons, pa.large_string())
        sizes = pc.binary_length(docs.text).take(pa.array(rows))
        for reason, tally in _tallies(sizes, reasons).items():
            total = self.counts.dropped[label].get(reason, Count())
            self.counts.dropped[label][reason] = total + tally
        signals = pa.array(_signals(result.signals, rows), pa.large_string())
        step = pa.array([label] * len(rows), pa.large_string())
        self.write_dropped(docs, rows, {"step": step, "reason": reasons, "signals": signals})

    def _writer(self, folder: str, schema: pa.Schema) -> DocumentWriter:
        writer = DocumentWriter(self._out / folder / f"{self._key}.parquet", schema)
        return self._stack.enter_context(writer)


class DocumentsWriter(OutcomeWriter):
    """For documents that have just been read: all are written, those that go too."""

    def __enter__(self) -> Self:
        self._kept = self._writer(KEPT, DOCUMENT_SCHEMA)
        schema = DOCUMENT_SCHEMA
        for extra in DROPPED_FIELDS:
            schema = schema.append(extra)
        self._dropped = self._writer(DROPPED, schema)
        self._quarantine: DocumentWriter | None = None
        return self

    def met(self, read: Read) -> None:
        super().met(read)
        if read.quarantined is None or not read.quarantined.num_rows:
            return
        for code in read.quarantined.column("code").to_pylist():
            self.counts.quarantined[code] = self.counts.quarantined.get(code, 0) + 1
        if self._quarantine is None:
            self._quarantine = self._writer(QUARANTINE, QUARANTINE_SCHEMA)
        self._quarantine.write(read.quarantined)

    def write_kept(self, docs: Docs) -> None:
        self._kept.write(docs.batch)

    def write_dropped(self, docs: Docs, rows: Rows, why: Mapping[str, pa.Array]) -> None:
        gone = docs.batch.take(pa.array(rows)).select(DOCUMENT_SCHEMA.names)
        for extra in DROPPED_FIELDS:
            gone = gone.append_column(extra, why[extra.name])
        self._dropped.write(gone)


class AnnotationWriter(OutcomeWriter):
    """For documents of an earlier stage: writes which of them stay and go, and added columns."""

    def __init__(self, out: Path, key: str) -> None:
        super().__init__(out, key)
        self._rows: Rows = np.zeros(0, np.int64)  # places of the documents of the batch at hand
        self._columns: dict[str, None] = {}  # names of those that were added, in their order
        self._kept: list[tuple[Rows, Mapping[str, pa.Array]]] = []
        self._dropped: list[tuple[Rows, Mapping[str, pa.Array]]] = []

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if error[0] is None:
            self._write_rows(DROPPED_ROWS, self._dropped)
            # Where all stay and no column comes, there is nothing to say.
            if self._dropped or self._columns:
                self._write_rows(KEPT_ROWS, self._kept)

    def met(self, read: Read) -> None:
        self._rows = np.arange(self.counts.rows, self.counts.rows + read.rows)
        super().met(read)

    def decided(self, result: CheckedResult) -> None:
        self._rows = self._rows[result.keep]
        self._columns.update(dict.fromkeys(result.columns))

    def write_kept(self, docs: Docs) -> None:
        columns = {name: docs.column(name) for name in self._columns}
        self._kept.append((self._rows, columns))

    def write_dropped(self, docs: Docs, rows: Rows, why: Mapping[str, pa.Array]) -> None:
        self._dropped.append((self._rows[rows], why))

    def _write_rows(
        self, folder: str, parts: Sequence[tuple[Rows, Mapping[str, pa.Array]]]
    ) -> None:
        if parts:
            rows = np.concatenate([rows for rows, _ in parts])
            order = np.argsort(rows, kind="stable")  # those dropped come step by step
            columns = {
                name: pa.chunked_array([columns[name] for _, columns in parts]).take(
                    pa.array(order)
                )
                for name in parts[0][1]
            }
            path = self._out / folder / f"{self._key}.parquet"
            write_annotation(path, rows[order], columns)


class EditedWriter(AnnotationWriter):
    """For steps that edit texts: documents that stay are written anew, with all their columns."""

    def __enter__(self) -> Self:
        self._documents = self._writer(KEPT, DOCUMENT_SCHEMA)
        return self

    def __exit__(self, *error: Any) -> None:
        self._columns.clear()
        self._kept.clear()
        super().__exit__(*error)

    def write_kept(self, docs: Docs) -> None:
        self._documents.write(docs.batch)


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


def _tallies(sizes: pa.Array, groups: pa.Array) -> dict[str, Count]:
    table = pa.table({"group": groups, "size": sizes})
    grouped = table.group_by("group", use_threads=False).aggregate(
        [("size", "count"), ("size", "sum")]
    )
    return {
        row["group"]: Count(documents=row["size_count"], bytes=row["size_sum"])
        for row in grouped.to_pylist()
    }
