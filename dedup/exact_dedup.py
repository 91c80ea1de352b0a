"""Drop documents whose text is that of an earlier one, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import kernels.hashing
import kernels.text
from winnow import Docs, FilterResult, GlobalStep, Position, ReduceInput

if TYPE_CHECKING:
    import pyarrow as pa

# Two independent 64-bit hashes: among a billion different documents the odds that any two agree
# in both are about 10^-21. The seeds are arbitrary. Neither resists texts made to collide.
_SEEDS = {"hash_0": 0, "hash_1": 0x9E3779B97F4A7C15}


class ExactDedup(GlobalStep):
    """Drop documents whose text is that of an earlier document, byte for byte.

    The first in input order stays. Memory while reducing: about 100 bytes per document.
    """

    kernels: ClassVar[tuple[str, ...]] = ("hashing", "text")

    def map(self, docs: Docs) -> pa.RecordBatch:
        return _hashes(docs.text)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        import numpy as np

        from dedup.greedy_clusters import first_occurrences, largest_cluster
        from dedup.removals import Corpus, write_removals

        corpus = Corpus.of(reduce_input)
        keys = np.empty((len(corpus), len(_SEEDS)), np.uint64)
        for part, name in enumerate(_SEEDS):
            keys[:, part] = corpus.mapped(name).to_numpy()
        firsts = first_occurrences(keys)
        dropped = np.flatnonzero(firsts != np.arange(len(corpus)))
        survivors = firsts[dropped]
        write_removals(folder, corpus, dropped, survivors, np.ones(len(dropped)))
        return {
            "documents": len(corpus),
            "dropped": len(dropped),
            "largest_cluster": largest_cluster(survivors),
        }

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from dedup.removals import apply_removals

        return apply_removals(docs, artifacts, at, "exact_duplicate", ["duplicate_of"])


def _hashes(text: pa.LargeStringArray) -> pa.RecordBatch:
    import pyarrow as pa

    data, offsets = kernels.text.text_buffers(text)
    return pa.record_batch(
        {
            name: pa.array(kernels.hashing.xxh64_rows(data, offsets, seed))
            for name, seed in _SEEDS.items()
        }
    )
