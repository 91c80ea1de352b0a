"""The tasks of row stages: read a shard, filter it step by step in one pass, write what stays.

Every row that comes in leaves into one of three folders: ``kept/``, ``dropped/`` with step,
reason and measured signals, or ``quarantine/`` with a code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

from pipeline.documents import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, Docs
from pipeline.engine.stage import (
    DROPPED,
    KEPT,
    QUARANTINE,
    Count,
    Counts,
    Reads,
    StageOutputs,
    TaskContext,
    TaskResult,
)
from pipeline.engine.step_results import CheckedResult, applied, filtered
from pipeline.engine.warm_up import warm_up
from pipeline.parquet import DocumentWriter, read_documents
from pipeline.sources.bad_rows import ShardRows
from pipeline.sources.source import InputFile, Read, Shard, SourceFormat
from pipeline.step import GlobalStep, Position, RowStep

DROPPED_FIELDS = (
    pa.field("step", pa.large_string(), nullable=False),
    pa.field("reason", pa.large_string(), nullable=False),
    pa.field("signals", pa.large_string(), nullable=False),
)


@dataclass(frozen=True)
class IndexTask:
    """What is to be known of a large file before its parts can be read, as metrics."""

    file: InputFile
    starts: tuple[int, ...]
    source: SourceFormat

    def run(self, context: TaskContext) -> TaskResult:
        return TaskResult(metrics=self.source.index(self.file, self.starts))


@dataclass(frozen=True)
class RowTask:
    """One shard of a source through a run of row steps, fused: one pass, one read, one write.

    ``index`` is the task that has indexed the file, where a part of one is read by its index.
    """

    key: str
    shard: Shard
    source: SourceFormat
    steps: tuple[tuple[str, RowStep], ...]
    index: tuple[Reads, ...] = ()

    def prepare(self) -> None:
        warm_up((step for _, step in self.steps), DOCUMENT_SCHEMA)

    def run(self, context: TaskContext) -> TaskResult:
        empty = pa.RecordBatch.from_pylist([], schema=DOCUMENT_SCHEMA)
        inputs: dict[str, str] = {}
        with OutcomeWriter(context.out, self.key) as writer:
            # First, so that columns which steps append are there in a file without rows.
            _filter(Docs(empty), self.steps, writer)
            for read in ShardRows(self.source, self._indexed()):
                writer.met(read)
                inputs.update(read.inputs)
                if read.documents is not None and read.documents.num_rows:
                    _filter(Docs(read.documents), self.steps, writer)
        return TaskResult(writer.counts, _metrics(self.steps), inputs)

    def _indexed(self) -> Shard:
        """The shard with what the index says of its file."""
        parts = self.shard.parts
        for reads in self.index:
            for key in reads.keys or ():
                metrics = reads.outputs.receipt(key).metrics
                parts = tuple(replace(part, index=metrics) for part in parts)
        return replace(self.shard, parts=parts)


@dataclass(frozen=True)
class DocumentsTask:
    """One shard of an earlier stage through a run of row steps."""

    key: str
    corpus: StageOutputs
    steps: tuple[tuple[str, RowStep], ...]

    def prepare(self) -> None:
        warm_up((step for _, step in self.steps), corpus_schema(self.corpus, self.key))

    def run(self, context: TaskContext) -> TaskResult:
        with OutcomeWriter(context.out, self.key) as writer:
            for batch in corpus_batches(self.corpus, self.key):
                writer.met(Read(documents=batch))
                _filter(Docs(batch), self.steps, writer)
        return TaskResult(writer.counts, _metrics(self.steps))


@dataclass(frozen=True)
class ApplyTask:
    """One shard through a global step that has been reduced."""

    key: str
    corpus: StageOutputs
    artifacts: StageOutputs
    label: str
    step: GlobalStep

    def prepare(self) -> None:
        warm_up([self.step], corpus_schema(self.corpus, self.key))

    def run(self, context: TaskContext) -> TaskResult:
        self.artifacts.outputs()  # raises when the artifacts are not committed
        folder = self.artifacts.folder(REDUCED) / ARTIFACTS
        number = self.corpus.keys.index(self.key)
        with OutcomeWriter(context.out, self.key) as writer:
            for batch in corpus_batches(self.corpus, self.key):
                at = Position(number, writer.counts.rows)
                writer.met(Read(documents=batch))
                docs = Docs(batch)
                writer.settle(docs, self.label, applied(self.step, docs, folder, at), last=True)
        return TaskResult(writer.counts)


REDUCED = "artifacts"  # the one task of a stage that reduces
ARTIFACTS = "artifacts/"  # and where its files are


def corpus_batches(corpus: StageOutputs, key: str) -> Iterator[pa.RecordBatch]:
    """The documents of one shard; one batch without rows when there are none, so that columns
    which steps append are there in every shard."""
    for path in corpus.outputs(KEPT, key):
        empty = True
        for batch in read_documents(path):
            empty = False
            yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=pq.read_schema(path))


def corpus_schema(corpus: StageOutputs, key: str) -> pa.Schema:
    """The columns that the documents of a shard have."""
    return pq.read_schema(corpus.outputs(KEPT, key)[0])


def _filter(docs: Docs, steps: tuple[tuple[str, RowStep], ...], writer: OutcomeWriter) -> None:
    for number, (label, step) in enumerate(steps):
        docs = writer.settle(docs, label, filtered(step, docs), last=number == len(steps) - 1)
    if not steps:
        writer.keep(docs)


def _metrics(steps: tuple[tuple[str, RowStep], ...]) -> dict[str, JsonValue]:
    """Those of every step that has any, by its label; their warnings together."""
    found: dict[str, JsonValue] = {}
    warnings: list[JsonValue] = []
    for label, step in steps:
        own = dict(step.metrics())
        sentences = own.pop("warnings", [])
        assert isinstance(sentences, list)
        warnings += [f"{label}: {text}" if len(steps) > 1 else text for text in sentences]
        if own:
            found[label] = own
    return {**found, "warnings": warnings} if warnings else found


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
