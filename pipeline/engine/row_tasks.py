"""The tasks of row stages: read a shard, filter it step by step in one pass, write what stays.

A plan makes tasks without running them, so what they run with is imported when they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pipeline.documents import Docs
from pipeline.engine.stage import KEPT, StageOutputs, TaskContext, TaskResult
from pipeline.sources.source import Read, Shard, SourceFormat
from pipeline.step import GlobalStep, Position, RowStep

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.engine.outcome_writer import OutcomeWriter


@dataclass(frozen=True)
class RowTask:
    """One shard of a source through a run of row steps, fused: one pass, one read, one write."""

    key: str
    shard: Shard
    source: SourceFormat
    steps: tuple[tuple[str, RowStep], ...]

    def prepare(self) -> None:
        from pipeline.engine.warm_up import warm_up

        warm_up(step for _, step in self.steps)

    def run(self, context: TaskContext) -> TaskResult:
        import pyarrow as pa

        from pipeline.documents import DOCUMENT_SCHEMA
        from pipeline.engine.outcome_writer import OutcomeWriter
        from pipeline.sources.bad_rows import ShardRows

        empty = pa.RecordBatch.from_pylist([], schema=DOCUMENT_SCHEMA)
        with OutcomeWriter(context.out, self.key) as writer:
            # First, so that columns which steps append are there in a file without rows.
            _filter(Docs(empty), self.steps, writer)
            for read in ShardRows(self.source, self.shard):
                writer.met(read)
                if read.documents is not None and read.documents.num_rows:
                    _filter(Docs(read.documents), self.steps, writer)
        return TaskResult(writer.counts, _metrics(self.steps))


@dataclass(frozen=True)
class DocumentsTask:
    """One shard of an earlier stage through a run of row steps."""

    key: str
    corpus: StageOutputs
    steps: tuple[tuple[str, RowStep], ...]

    def prepare(self) -> None:
        from pipeline.engine.warm_up import warm_up

        warm_up((step for _, step in self.steps), corpus_schema(self.corpus, self.key))

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.engine.outcome_writer import OutcomeWriter

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
        from pipeline.engine.warm_up import warm_up

        warm_up([self.step], corpus_schema(self.corpus, self.key))

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.engine.outcome_writer import OutcomeWriter
        from pipeline.engine.step_results import applied

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
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.parquet import read_documents

    for path in corpus.outputs(KEPT, key):
        empty = True
        for batch in read_documents(path):
            empty = False
            yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=pq.read_schema(path))


def corpus_schema(corpus: StageOutputs, key: str) -> pa.Schema:
    """The columns that the documents of a shard have."""
    import pyarrow.parquet as pq

    return pq.read_schema(corpus.outputs(KEPT, key)[0])


def _filter(docs: Docs, steps: tuple[tuple[str, RowStep], ...], writer: OutcomeWriter) -> None:
    from pipeline.engine.step_results import filtered

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
