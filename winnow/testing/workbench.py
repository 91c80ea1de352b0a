"""Builds an extension's stages on a small corpus and runs their tasks, with the real commit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.engine.commit import commit
from pipeline.engine.stage import (
    KEPT,
    Reads,
    Stage,
    StageOutputs,
    Task,
    TaskContext,
    TaskResult,
    TaskSpec,
)
from pipeline.extension import BuildContext
from pipeline.parquet import DocumentWriter
from pipeline.step import ManifestView


@dataclass(frozen=True)
class Write:
    """Writes documents as a shard of the corpus."""

    key: str
    batch: pa.RecordBatch

    def run(self, context: TaskContext) -> TaskResult:
        with DocumentWriter(context.out / f"{KEPT}{self.key}.parquet", self.batch.schema) as writer:
            writer.write(self.batch)
        return TaskResult()


def batch_of(
    source: str,
    texts: Sequence[str],
    scores: Mapping[str, Sequence[float | None]] | None = None,
    first: int = 0,
) -> pa.RecordBatch:
    """Documents ``source/first``, … with these texts and extra columns."""
    rows = [
        {
            "id": f"{source}/{offset}",
            "text": text,
            "source": source,
            "_source": f"{source}.jsonl",
            "_offset": offset,
        }
        for offset, text in enumerate(texts, first)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)
    for name, values in (scores or {}).items():
        batch = batch.append_column(name, pa.array(values, pa.float64()))
    return batch


@dataclass
class Workbench:
    """A folder in which stages are made and run one after the other."""

    folder: Path
    seed: int = 7
    columns: tuple[str, ...] = ()
    stages: list[Stage] = field(default_factory=list)

    def make(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        version: int = 1,
    ) -> Stage:
        """A StageMaker, which makes stages as the engine does."""
        everything = tuple(Reads(stage.outputs) for stage in after)
        stage = Stage(
            name=f"bench.{name}",
            kind=name,
            tasks=tuple(t if t.reads is not None else replace(t, reads=everything) for t in tasks),
            parameters=parameters,
            versions={name: version},
            outputs=StageOutputs(self.folder, tuple(task.key for task in tasks)),
            after=tuple(stage.name for stage in after),
        )
        self.stages.append(stage)
        return stage

    def run(self, stage: Stage) -> StageOutputs:
        """Run and commit every task, each as another process would get it."""
        for place, task in enumerate(stage.tasks):
            ready = stage.resolve(task, place)
            assert ready is not None, "a stage that it reads has not been run"
            out = self.folder / "scratch" / ready.fingerprint
            out.mkdir(parents=True)
            result = pickle.loads(pickle.dumps(task.spec)).run(TaskContext(out))  # noqa: S301
            commit(self.folder, stage.name, ready, out, result)
        return stage.outputs

    def done(self, name: str, works: Mapping[str, TaskSpec]) -> StageOutputs:
        """A stage of these works, run."""
        return self.run(self.make(name, [Task(k, w) for k, w in works.items()], {}, []))

    def corpus(self, shards: Mapping[str, pa.RecordBatch]) -> Stage:
        """A corpus stage with these shards, run."""
        tasks = [Task(key, Write(key, batch)) for key, batch in shards.items()]
        stage = self.make("corpus", tasks, {}, [])
        self.run(stage)
        return stage

    def context(self, corpus: Stage, sources: Sequence[str]) -> BuildContext:
        """What an extension is given to build its stages on ``corpus``."""
        view = ManifestView(self.folder, self.seed, tuple(sources), self.columns)
        return BuildContext(view, corpus, self.make, workers=1)
