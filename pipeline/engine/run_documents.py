"""The documents of a run, from its output folder alone: those left and those dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.stage import DROPPED, DROPPED_ROWS, KEPT, KEPT_ROWS
from pipeline.engine.status import planned_stages

if TYPE_CHECKING:
    from pipeline.shard_documents import ShardDocuments


@dataclass(frozen=True)
class RunShard:
    """Documents of one shard, as the stage ``stage`` left or dropped them."""

    stage: str
    key: str
    documents: ShardDocuments

    @property
    def source(self) -> str:
        return self.key.rpartition("-")[0]


def kept_documents(output: Path) -> list[RunShard]:
    """What the steps of a run left so far, by shard. Raises Refusal where there is no run."""
    kept, _ = _walk(output)
    return kept


def dropped_documents(output: Path) -> list[RunShard]:
    """What the steps of a run dropped so far, by stage and shard, with the columns ``step``,
    ``reason`` and ``signals``. Raises Refusal where there is no run."""
    _, dropped = _walk(output)
    return dropped


def _walk(output: Path) -> tuple[list[RunShard], list[RunShard]]:
    from pipeline.shard_documents import ShardDocuments

    kept: dict[str, RunShard] = {}
    dropped = []
    for stage, outputs in planned_stages(output):
        for key in outputs.keys:
            if outputs.find(key) is None:
                continue
            for path in outputs.outputs(DROPPED, key):
                dropped.append(RunShard(stage, key, ShardDocuments(path)))
            for path in outputs.outputs(DROPPED_ROWS, key):
                dropped.append(RunShard(stage, key, _through(kept[key].documents, path)))
            for path in outputs.outputs(KEPT_ROWS, key):
                kept[key] = RunShard(stage, key, _through(kept[key].documents, path))
            for path in outputs.outputs(KEPT, key):
                kept[key] = RunShard(stage, key, ShardDocuments(path))
    return list(kept.values()), dropped


def _through(documents: ShardDocuments, annotation: Path) -> ShardDocuments:
    return replace(documents, annotations=(*documents.annotations, annotation))


def rows_of(shards: list[RunShard]) -> Iterator[dict[str, object]]:
    """Their documents, one after the other."""
    for shard in shards:
        for batch in shard.documents.batches():
            yield from batch.to_pylist()
