"""Are document ids unique? Counted over the whole corpus, reported, and a gate if asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipeline.engine.stage import KEPT, StageOutputs, TaskContext, TaskResult

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

EXAMPLES = 5


@dataclass(frozen=True)
class CountIds:
    """Counts documents whose id an earlier document has (by 64-bit hash: 8 bytes a document)."""

    version: ClassVar[int] = 1
    corpus: StageOutputs

    def run(self, context: TaskContext) -> TaskResult:
        import numpy as np
        import pyarrow.parquet as pq

        hashes: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = [np.zeros(0, np.uint64)]
        for path in self.corpus.outputs(KEPT):
            for batch in pq.ParquetFile(path).iter_batches(columns=["id"]):
                ids = batch.column("id").to_pylist()
                hashes.append(np.array([_hash(value) for value in ids], np.uint64))
        values, counts = np.unique(np.concatenate(hashes), return_counts=True)
        repeated = values[counts > 1]
        return TaskResult(
            metrics={
                "documents": int(counts.sum()),
                "duplicate_ids": int((counts - 1).sum()),
                "examples": list(self._examples(repeated[:EXAMPLES])),
            }
        )

    def _examples(self, repeated: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> list[str]:
        import pyarrow.parquet as pq

        found: dict[int, str] = {}
        if not len(repeated):
            return []
        for path in self.corpus.outputs(KEPT):
            column: pa.ChunkedArray = pq.read_table(path, columns=["id"]).column("id")
            for value in column.to_pylist():
                key = _hash(value)
                if key in repeated:
                    found.setdefault(key, value)
        return sorted(found.values())


def _hash(text: str) -> int:
    import xxhash

    return xxhash.xxh3_64_intdigest(text.encode())
