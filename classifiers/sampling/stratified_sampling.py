"""Stratified samples of a sharded corpus, and how many documents each sampled one stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.sampling.hash_sampling import Hashes, Places, mixed, ranks

Allocation = Literal["equal", "proportional"]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
QUARTERS = 4
# Documents whose scores settle where the quarters begin.
SETTLING = 100_000


@dataclass(frozen=True)
class Sample:
    """``places`` [n, 2] (shard, row) in random order, so that any beginning is a random part of the
    sample; ``stratum`` [n] indexes ``names``; ``weight`` [n] is how many documents of the corpus
    each stands for."""

    places: Places
    stratum: Longs
    names: tuple[str, ...]
    weight: Floats


def stratified(mapped: Sequence[Path], documents: int, allocation: Allocation, seed: int) -> Sample:
    """A sample of at most ``documents`` from files with the columns ``stratum`` (text), ``hash``
    and, for strata by quarters of it, ``score`` (null is a quarter of its own).

    Memory: one file's rows, and the sample.
    """
    cuts = _quarters(mapped, seed)
    sizes: dict[str, int] = {}
    for shard in _read(mapped, seed, cuts):
        counts = np.bincount(shard.stratum, minlength=len(shard.names))
        for name, count in zip(shard.names, counts.tolist(), strict=True):
            sizes[name] = sizes.get(name, 0) + count
    names = tuple(sorted(sizes))
    size = np.array([sizes[name] for name in names], dtype=np.int64)
    quota = np.array(_allocated(size.tolist(), documents, allocation), dtype=np.int64)
    kept = _Lowest(quota)
    numbers = {name: number for number, name in enumerate(names)}
    for number, shard in enumerate(_read(mapped, seed, cuts)):
        renumbered = np.array([numbers[name] for name in shard.names], dtype=np.int64)
        kept.add(number, renumbered[shard.stratum], shard.rank)
    # By another hash than the one they were chosen by: of a stratum that is sampled thinly all
    # ranks are low, and it would come first.
    order = np.argsort(mixed(kept.rank), kind="stable")
    weight = size / np.maximum(quota, 1)
    return Sample(
        kept.places[order], kept.stratum[order], names, weight[kept.stratum[order]].astype(float)
    )


class _Lowest:
    """The rows of lowest rank of every stratum, as many as its ``quota`` [strata] says."""

    def __init__(self, quota: Longs) -> None:
        self._quota = quota
        # Rows of this rank and above need not be looked at any more.
        self._end = np.where(quota > 0, np.iinfo(np.uint64).max, 0).astype(np.uint64)
        self.stratum = np.empty(0, np.int64)
        self.rank = np.empty(0, np.uint64)
        self.places = np.empty((0, 2), np.int64)

    def add(self, shard: int, stratum: Longs, rank: Hashes) -> None:
        rows = np.flatnonzero(rank < self._end[stratum])
        places = np.column_stack([np.full_like(rows, shard), rows])
        stratum = np.concatenate([self.stratum, stratum[rows]])
        rank = np.concatenate([self.rank, rank[rows]])
        order = np.lexsort((rank, stratum))
        stratum, rank = stratum[order], rank[order]
        first = np.searchsorted(stratum, np.arange(len(self._quota)))
        inside = np.arange(len(stratum)) - first[stratum] < self._quota[stratum]
        self.stratum, self.rank = stratum[inside], rank[inside]
        self.places = np.concatenate([self.places, places])[order][inside]
        found = np.bincount(self.stratum, minlength=len(self._quota))
        full = np.flatnonzero((found == self._quota) & (self._quota > 0))
        last = np.searchsorted(self.stratum, full, side="right") - 1
        self._end[full] = self.rank[last]


@dataclass(frozen=True)
class _Shard:
    """``stratum`` [rows] indexes ``names``, all of which occur; ``rank`` [rows]."""

    stratum: Longs
    names: Sequence[str]
    rank: Hashes


def _read(mapped: Sequence[Path], seed: int, cuts: Floats) -> Iterator[_Shard]:
    """Every file, in order."""
    for path in mapped:
        table = pq.read_table(path).combine_chunks()
        encoded = table["stratum"].combine_chunks().dictionary_encode()
        names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        codes = codes.astype(np.int64)
        if "score" in table.column_names:
            quarters = ["none", *map(str, range(1, QUARTERS + 1))]
            codes = codes * len(quarters) + _quarter(table["score"].combine_chunks(), cuts)
            names = [f"{name} · score {quarter}" for name in names for quarter in quarters]
        met, codes = np.unique(codes, return_inverse=True)
        rank = ranks(table["hash"].to_numpy(), seed)
        yield _Shard(codes, [names[code] for code in met.tolist()], rank)


def _quarter(scores: pa.Array, cuts: Floats) -> Longs:
    """1 to 4 [rows], 0 where there is no score."""
    missing = pc.is_null(scores, nan_is_null=True).to_numpy(zero_copy_only=False)
    values = np.where(missing, 0, scores.to_numpy(zero_copy_only=False))
    return np.where(missing, 0, np.searchsorted(cuts, values, side="right") + 1)


def _quarters(mapped: Sequence[Path], seed: int) -> Floats:
    """Where the second, third and fourth quarter of the scores begin, by the documents of lowest
    rank; [0] without scores."""
    lowest, values = np.empty(0, np.uint64), np.empty(0, np.float64)
    for path in mapped:
        if "score" not in pq.read_schema(path).names:
            return values
        table = pq.read_table(path, columns=["score", "hash"])
        table = table.filter(pc.invert(pc.is_null(table["score"], nan_is_null=True)))
        lowest = np.concatenate([lowest, ranks(table["hash"].to_numpy(), seed)])
        values = np.concatenate([values, table["score"].to_numpy().astype(np.float64)])
        order = np.argsort(lowest, kind="stable")[:SETTLING]
        lowest, values = lowest[order], values[order]
    if not len(values):
        return values
    shares = np.arange(1, QUARTERS) / QUARTERS
    return np.asarray(np.quantile(values, shares, method="higher"), dtype=np.float64)


def _allocated(sizes: Sequence[int], documents: int, allocation: Allocation) -> list[int]:
    """How many of each stratum: as many of each as there are, or by size; all in all
    ``documents``, or everything where there is less."""
    total = sum(sizes)
    if total <= documents:
        return list(sizes)
    if allocation == "proportional":
        exact = [size * documents / total for size in sizes]
        quotas = [int(value) for value in exact]
        rest = sorted(range(len(sizes)), key=lambda i: (quotas[i] - exact[i], i))
        for index in rest[: documents - sum(quotas)]:
            quotas[index] += 1
        return quotas
    quotas, left = [0] * len(sizes), documents
    # The smallest give all they have, and what they lack is shared by those that have more.
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    for place, index in enumerate(order):
        quotas[index] = min(sizes[index], left // (len(order) - place))
        left -= quotas[index]
    return quotas
