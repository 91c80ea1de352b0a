"""Small runs whose documents went through real row tasks and a real commit, without an executor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from pipeline.documents import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, Docs
from pipeline.engine.commit import commit
from pipeline.engine.outcome_writer import AnnotationWriter, EditedWriter
from pipeline.engine.row_tasks import RowTask, corpus_batches, filter_through
from pipeline.engine.stage import (
    CorpusView,
    Stage,
    StageOutputs,
    Task,
    TaskContext,
    TaskResult,
    TaskSpec,
)
from pipeline.sources.source import FilePart, InputFile, Read, Shard, SourceFormat
from pipeline.step import FilterResult, RowStep

BATCH_ROWS = 3


class Listed(SourceFormat):
    """Documents (id, text) and bad rows (code, message) given in the test itself."""

    documents: tuple[tuple[str, str], ...]
    bad: tuple[tuple[str, str], ...] = ()
    max_bad: float = 1

    def read(self, shard: Shard) -> Iterator[Read]:
        place = shard.names[0]
        rows = [
            {"id": id_, "text": text, "source": shard.source, "_source": place, "_offset": offset}
            for offset, (id_, text) in enumerate(self.documents)
        ]
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            yield Read(documents=pa.RecordBatch.from_pylist(batch, schema=DOCUMENT_SCHEMA))
        bad = [
            {"source": shard.source, "_source": place, "_offset": 1000 + number}
            | {"code": code, "message": message, "raw": b"{", "raw_bytes": 1}
            for number, (code, message) in enumerate(self.bad)
        ]
        if bad:
            yield Read(quarantined=pa.RecordBatch.from_pylist(bad, schema=QUARANTINE_SCHEMA))


class Length(RowStep):
    """Drop texts of fewer (``short``) or more (``long``) characters."""

    low: int = 0
    high: int = 10**9

    def filter(self, docs: Docs) -> FilterResult:
        lengths = np.array([len(text) for text in docs.text.to_pylist()])
        codes = np.where(lengths < self.low, 1, np.where(lengths > self.high, 2, 0))
        return FilterResult.of_codes(codes, ["short", "long"], {"characters": lengths})


class Vowels(RowStep):
    """Score by the share of vowels; texts without a letter get none."""

    def adds(self) -> Mapping[str, pa.DataType]:
        return {"vowels": pa.float64()}

    def filter(self, docs: Docs) -> FilterResult:
        scores = [
            sum(c in "aeiou" for c in text) / letters if (letters := sum(map(str.isalpha, text)))
            else None
            for text in docs.text.to_pylist()
        ]  # fmt: skip
        keep = np.ones(len(docs), bool)
        return FilterResult(keep=keep, columns={"vowels": pa.array(scores, pa.float64())})


class Shorten(RowStep):
    """Cut every text to its first two characters."""

    def edits_text(self) -> bool:
        return True

    def filter(self, docs: Docs) -> FilterResult:
        text = pa.array([text[:2] for text in docs.text.to_pylist()], pa.large_string())
        return FilterResult(keep=np.ones(len(docs), bool), text=text)


def read_stage(
    folder: Path, sources: Mapping[str, Listed], steps: Mapping[str, RowStep], *, skip: str = ""
) -> Stage:
    """Reads one shard per source through ``steps``; the task ``skip`` never commits."""
    specs = {
        name: RowTask(name, _shard(name), source, tuple(steps.items()))
        for name, source in sources.items()
    }
    return _stage(folder, "read", specs, tuple(steps), skip)


def _shard(name: str) -> Shard:
    return Shard(name, 0, (FilePart(InputFile("", f"{name}.jsonl")),))


def next_stage(folder: Path, before: Stage, steps: Mapping[str, RowStep]) -> Stage:
    """The documents that ``before`` left, through ``steps``."""
    edits = any(step.edits_text() for step in steps.values())
    specs = {
        task.key: _Later(task.key, before.corpus, tuple(steps.items()), edits)
        for task in before.tasks
    }
    return _stage(folder, "next", specs, tuple(steps), "", before.corpus, not edits)


def metrics_stage(folder: Path, name: str, metrics: Mapping[str, JsonValue]) -> Stage:
    """A stage of one task that counts no documents and reports ``metrics``."""
    return _stage(folder, name, {"all": _Nothing(metrics)}, (), "")


@dataclass(frozen=True)
class _Later:
    """Row steps of a later stage, as ApplyTask runs those after a global step."""

    key: str
    corpus: CorpusView
    steps: tuple[tuple[str, RowStep], ...]
    edits: bool

    def run(self, context: TaskContext) -> TaskResult:
        with (EditedWriter if self.edits else AnnotationWriter)(context.out, self.key) as writer:
            for batch in corpus_batches(self.corpus, self.key):
                writer.met(Read(documents=batch))
                filter_through(Docs(batch), self.steps, writer)
        return TaskResult(writer.counts)


@dataclass(frozen=True)
class _Nothing:
    metrics: Mapping[str, JsonValue]

    def run(self, context: TaskContext) -> TaskResult:
        context.out.mkdir(parents=True, exist_ok=True)
        return TaskResult(metrics=self.metrics)


def _stage(
    folder: Path,
    name: str,
    specs: Mapping[str, TaskSpec],
    steps: tuple[str, ...],
    skip: str,
    before: CorpusView | None = None,
    annotates: bool = False,
) -> Stage:
    tasks = tuple(Task(key, spec, reads=()) for key, spec in specs.items())
    parameters = {"folder": str(folder), "texts": [repr(spec) for spec in specs.values()]}
    outputs = StageOutputs(folder, tuple(specs))
    stage = Stage(
        name, name, tasks, parameters, {}, outputs, steps=steps, before=before, annotates=annotates
    )
    for place, task in enumerate(tasks):
        ready = stage.resolve(task, place)
        assert ready is not None
        if task.key != skip:
            out = folder / "tmp" / name / task.key
            commit(folder, name, ready, out, task.spec.run(TaskContext(out)))
    return stage
