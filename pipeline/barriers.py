"""The tasks of a barrier step's first two phases: observe every shard, then conclude once."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.documents import Docs
from pipeline.rows import FINDINGS, corpus_batches
from pipeline.stage import KEPT, Committed, Desk, Outcome
from pipeline.step import BarrierStep, Evidence

OBSERVED = "observed/"


@dataclass(frozen=True)
class ObserveWork:
    """What a barrier step wants to remember of one shard."""

    key: str
    corpus: Committed
    step: BarrierStep

    def prepare(self) -> None:
        self.step.prepare()

    def run(self, desk: Desk) -> Outcome:
        path = desk.out / OBSERVED / f"{self.key}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer: pq.ParquetWriter | None = None
        for batch in corpus_batches(self.corpus, self.key):
            seen = self.step.observe(Docs(batch))
            if writer is None:
                # Uncompressed, so that conclude may map observations instead of loading them.
                writer = pq.ParquetWriter(path, seen.schema, compression="none")
            writer.write_batch(seen)
        assert writer is not None, "a shard gives at least one batch"
        writer.close()
        return Outcome()


@dataclass(frozen=True)
class ConcludeWork:
    """A barrier step's findings from all observations."""

    corpus: Committed
    observed: Committed
    step: BarrierStep
    seed: int

    def prepare(self) -> None:
        self.step.prepare()

    def run(self, desk: Desk) -> Outcome:
        folder = desk.out / FINDINGS
        folder.mkdir(parents=True, exist_ok=True)
        evidence = Evidence(
            observations=tuple(self.observed.outputs(OBSERVED)),
            documents=tuple(self.corpus.outputs(KEPT)),
            seed=self.seed,
            progress=desk.progress,
        )
        return Outcome(facts=dict(self.step.conclude(evidence, folder)))
