"""The tasks of a global step's first two phases: map every shard, then reduce once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.documents import Docs
from pipeline.engine.row_tasks import ARTIFACTS, corpus_batches
from pipeline.engine.stage import CorpusView, StageOutputs, TaskContext, TaskResult
from pipeline.step import GlobalStep, ReduceInput

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAPPED = "mapped/"


@dataclass(frozen=True)
class MapTask:
    """What a global step wants to remember of one shard."""

    key: str
    corpus: CorpusView
    step: GlobalStep

    def prepare(self) -> None:
        from pipeline.engine.warm_up import warm_up

        warm_up([self.step], self.corpus.shard(self.key).schema)

    def run(self, context: TaskContext) -> TaskResult:
        import pyarrow.parquet as pq

        from pipeline.engine.step_results import mapped

        path = context.out / MAPPED / f"{self.key}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer: pq.ParquetWriter | None = None
        for batch in corpus_batches(self.corpus, self.key):
            seen = mapped(self.step, Docs(batch), None if writer is None else writer.schema)
            if writer is None:
                # Uncompressed, so that ``reduce`` may map the file into memory.
                writer = pq.ParquetWriter(path, seen.schema, compression="none")
            writer.write_batch(seen)
        assert writer is not None, "a shard gives at least one batch"
        writer.close()
        return TaskResult()


@dataclass(frozen=True)
class ReduceTask:
    """A global step's artifacts, from what was mapped."""

    corpus: CorpusView
    mapped: StageOutputs
    step: GlobalStep
    seed: int

    def run(self, context: TaskContext) -> TaskResult:
        from pipeline.engine.step_results import reduced

        folder = context.out / ARTIFACTS
        folder.mkdir(parents=True, exist_ok=True)
        reduce_input = ReduceInput(
            mapped=tuple(self.mapped.outputs(MAPPED)),
            documents=self.corpus.shards(),
            seed=self.seed,
            progress=context.progress,
        )
        return TaskResult(metrics=reduced(self.step, reduce_input, folder))
