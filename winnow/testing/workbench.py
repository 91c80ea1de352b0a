"""Builds an extension's stages on a small corpus and runs their tasks, with the real commit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.engine.commit import commit
from pipeline.engine.fingerprint import digest
from pipeline.engine.lock import Fence
from pipeline.engine.stage import KEPT, Stage, StageOutputs, Task, TaskContext, TaskResult, TaskSpec
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
    recipes: dict[str, str] = field(default_factory=dict)

    def make(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        code: Sequence[str],
    ) -> Stage:
        """A StageMaker; fingerprints as the engine makes them, but for the code."""
        own = any(task.fingerprint for task in tasks)
        below = [self.recipes[s.name] if own else s.fingerprint for s in after]
        recipe = digest([name, parameters, below])
        tasks = [
            Task(t.key, t.spec, t.label or t.key, t.bytes, digest([recipe, t.fingerprint]))
            for t in tasks
        ]
        fingerprint = digest([recipe, [task.fingerprint for task in tasks]])
        stage = Stage(
            f"{len(self.stages) + 1:02d}-{name}",
            fingerprint,
            self.folder / name,
            tuple(tasks),
            parameters,
        )
        self.stages.append(stage)
        self.recipes[stage.name] = recipe if own else fingerprint
        return stage

    def run(self, stage: Stage) -> StageOutputs:
        """Run and commit every task, each as another process would get it."""
        for task in stage.tasks:
            out = self.folder / "scratch" / stage.name / task.key
            out.mkdir(parents=True)
            outcome = pickle.loads(pickle.dumps(task.spec)).run(TaskContext(out))  # noqa: S301
            commit(stage.folder, stage.name, task.key, task.fingerprint, out, outcome, Fence())
        return stage.committed

    def done(self, name: str, works: Mapping[str, TaskSpec]) -> StageOutputs:
        """A stage of these works, run."""
        return self.run(self.make(name, [Task(k, w) for k, w in works.items()], {}, [], []))

    def corpus(self, shards: Mapping[str, pa.RecordBatch]) -> Stage:
        """A corpus stage with these shards, run."""
        tasks = [Task(key, Write(key, batch)) for key, batch in shards.items()]
        stage = self.make("corpus", tasks, {}, [], [])
        self.run(stage)
        return stage

    def site(self, corpus: Stage, sources: Sequence[str]) -> BuildContext:
        view = ManifestView(self.folder, self.seed, tuple(sources), self.columns)
        return BuildContext(view, corpus, self.make, workers=1)
