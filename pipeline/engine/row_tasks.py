"""The tasks of row stages: read a shard, filter it step by step in one pass, write what stays.

A plan makes tasks without running them, so what they run with is imported when they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from pipeline.documents import Docs
from pipeline.engine.stage import KEPT, CorpusView, Reads, StageOutputs, TaskContext, TaskResult
from pipeline.errors import ShardError
from pipeline.sources.source import InputFile, Read, Shard, SourceFormat
from pipeline.step import GlobalStep, Position, RowStep

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.engine.outcome_writer import OutcomeWriter


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
        from pipeline.engine.warm_up import warm_up

        warm_up(step for _, step in self.steps)

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.documents import DOCUMENT_SCHEMA
        from pipeline.engine.outcome_writer import DocumentsWriter
        from pipeline.sources.bad_rows import ShardRows

        inputs: dict[str, str] = {}
        with DocumentsWriter(context.out, self.key) as writer:
            # First, so that columns which steps append are there in a file without rows.
            filter_through(Docs(_empty(DOCUMENT_SCHEMA)), self.steps, writer)
            for read in ShardRows(self.source, self._indexed()):
                writer.met(read)
                inputs.update(read.inputs)
                if read.documents is not None and read.documents.num_rows:
                    filter_through(Docs(read.documents), self.steps, writer)
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
class ApplyTask:
    """One shard through a global step that has been reduced, and the row steps after it.

    Documents are written anew only with ``edits``, when one of the row steps edits texts.
    """

    key: str
    corpus: CorpusView
    artifacts: StageOutputs
    label: str
    step: GlobalStep
    then: tuple[tuple[str, RowStep], ...]
    edits: bool

    def prepare(self) -> None:
        from pipeline.engine.warm_up import warm_up

        steps = (self.step, *(step for _, step in self.then))
        warm_up(steps, self.corpus.shard(self.key).schema)

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.engine.outcome_writer import AnnotationWriter, EditedWriter
        from pipeline.engine.step_results import applied

        self.artifacts.outputs()  # raises when the artifacts are not committed
        folder = self.artifacts.folder(REDUCED) / ARTIFACTS
        number = self.corpus.keys.index(self.key)
        writer_of = EditedWriter if self.edits else AnnotationWriter
        with writer_of(context.out, self.key) as writer:
            for batch in corpus_batches(self.corpus, self.key):
                at = Position(number, writer.counts.rows)
                writer.met(Read(documents=batch))
                docs = Docs(batch)
                result = applied(self.step, docs, folder, at)
                docs = writer.settle(docs, self.label, result)
                filter_through(docs, self.then, writer)
        return TaskResult(writer.counts, _metrics(self.then))


@dataclass(frozen=True)
class CorpusTask:
    """One shard of the documents that all steps left, written as such."""

    version: ClassVar[int] = 1
    key: str
    corpus: CorpusView

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.parquet import DocumentWriter

        rows = 0
        documents = self.corpus.shard(self.key)
        path = context.out / KEPT / f"{self.key}.parquet"
        with DocumentWriter(path, documents.schema) as writer:
            for batch in documents.batches():
                writer.write(batch)
                rows += batch.num_rows
        if rows != len(documents):
            raise ShardError("rows-lost", f"{rows} of {len(documents)} documents were written")
        return TaskResult()


REDUCED = "artifacts"  # the one task of a stage that reduces
ARTIFACTS = "artifacts/"  # and where its files are


def corpus_batches(corpus: CorpusView, key: str) -> Iterator[pa.RecordBatch]:
    """The documents of one shard; one batch without rows when there are none, so that columns
    which steps append are there in every shard."""
    documents, found = corpus.shard(key), False
    for batch in documents.batches():
        found = True
        yield batch
    if not found:
        yield _empty(documents.schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([], schema=schema)


def filter_through(
    docs: Docs, steps: tuple[tuple[str, RowStep], ...], writer: OutcomeWriter
) -> None:
    """Each batch goes through all row steps at once; what is left after the last one is kept."""
    from pipeline.engine.step_results import filtered

    for label, step in steps:
        docs = writer.settle(docs, label, filtered(step, docs))
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
