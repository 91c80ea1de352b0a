"""Samples of a corpus that do not depend on how it is sharded: chosen by a hash of each place."""

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
from xxhash import xxh3_64_intdigest

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Allocation = Literal["equal", "proportional"]
QUARTERS = 4
# Documents whose scores settle where the quarters begin.
SETTLING = 100_000


def mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele et al. 2014): bijective, every bit depends on all."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def place_hash(source: pa.LargeStringArray, offset: pa.Int64Array) -> Hashes:
    """A hash [rows] of (``_source``, ``_offset``), whatever batch or shard they are met in."""
    encoded = source.dictionary_encode()
    names = [xxh3_64_intdigest(name.encode(), 0) for name in encoded.dictionary.to_pylist()]
    hashes = np.array(names, dtype=np.uint64)[encoded.indices.to_numpy()]
    return mixed(hashes ^ mixed(offset.to_numpy().view(np.uint64)))


def texts_at(documents: Sequence[Path], places: Places) -> list[str]:
    """Texts of the documents at (shard, row) [n, 2], in that order; only their row groups are
    read."""
    texts: dict[tuple[int, int], str] = {}
    for shard in np.unique(places[:, 0]).tolist():
        rows = np.sort(places[places[:, 0] == shard, 1])
        with pq.ParquetFile(documents[shard]) as file:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                inside = rows[(rows >= start) & (rows < end)]
                if len(inside):
                    text = file.read_row_group(group, columns=["text"])["text"]
                    found = text.take(pa.array(inside - start)).to_pylist()
                    texts.update(zip(((shard, int(row)) for row in inside), found, strict=True))
                start = end
    return [texts[shard, row] for shard, row in places.tolist()]


@dataclass(frozen=True)
class Sample:
    """``places`` [n, 2] (shard, row) in random order, so that any beginning is a sample too;
    ``stratum`` [n] indexes ``names``; ``weight`` [n] is how many documents each stands for."""

    places: Places
    stratum: npt.NDArray[np.int64]
    names: tuple[str, ...]
    weight: npt.NDArray[np.float64]


def stratified(
    observations: Sequence[Path], documents: int, allocation: Allocation, seed: int
) -> Sample:
    """A sample of at most ``documents`` from files with the columns ``stratum`` (text), ``hash``
    and, for strata by quarters of it, ``score`` (null is a quarter of its own)."""
    salt = mixed(np.array([seed], dtype=np.uint64))
    cuts = _quarters(observations, salt)
    sizes: dict[str, int] = {}
    for _, names, _ in _read(observations, salt, cuts):
        for name, count in zip(*np.unique(names, return_counts=True), strict=True):
            sizes[str(name)] = sizes.get(str(name), 0) + int(count)
    strata = sorted(sizes)
    numbers = {name: number for number, name in enumerate(strata)}
    quotas = _allocated([sizes[name] for name in strata], documents, allocation)
    kept = [np.empty((0, 3), np.uint64) for _ in strata]
    for shard, names, ranks in _read(observations, salt, cuts):
        rows = np.arange(len(names), dtype=np.uint64)
        for name in np.unique(names):
            number, here = numbers[str(name)], names == name
            found = np.column_stack(
                [ranks[here], np.full(int(here.sum()), shard, np.uint64), rows[here]]
            )
            both = np.concatenate([kept[number], found])
            kept[number] = both[np.argsort(both[:, 0], kind="stable")[: quotas[number]]]
    stratum = np.repeat(np.arange(len(strata)), [len(rows) for rows in kept])
    rows = np.concatenate(kept) if kept else np.empty((0, 3), np.uint64)
    order = np.argsort(rows[:, 0], kind="stable")
    share = np.array([sizes[name] / max(len(k), 1) for name, k in zip(strata, kept, strict=True)])
    return Sample(
        rows[order, 1:].astype(np.int64), stratum[order], tuple(strata), share[stratum[order]]
    )


def _read(
    observations: Sequence[Path], salt: Hashes, cuts: npt.NDArray[np.float64]
) -> Iterator[tuple[int, npt.NDArray[np.str_], Hashes]]:
    """(shard, stratum [rows], rank [rows]) of every file."""
    for shard, path in enumerate(observations):
        table = pq.read_table(path)
        names = np.array(table["stratum"].to_pylist(), dtype=np.str_)
        if "score" in table.column_names:
            quarter = _quarter(table["score"].combine_chunks(), cuts)
            names = np.char.add(np.char.add(names, " · score "), quarter)
        yield shard, names, mixed(table["hash"].to_numpy() ^ salt)


def _quarter(scores: pa.Array, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    values = scores.to_numpy(zero_copy_only=False)
    numbers = np.searchsorted(cuts, np.nan_to_num(values), side="right") + 1
    missing = pc.is_null(scores, nan_is_null=True).to_numpy(zero_copy_only=False)
    return np.where(missing, "none", numbers.astype(np.str_))


def _quarters(observations: Sequence[Path], salt: Hashes) -> npt.NDArray[np.float64]:
    """Where the second, third and fourth quarter of the scores begin, by the documents of lowest
    rank; [0] without scores."""
    ranks, values = np.empty(0, np.uint64), np.empty(0, np.float64)
    for path in observations:
        if "score" not in pq.read_schema(path).names:
            return values
        table = pq.read_table(path, columns=["score", "hash"])
        table = table.filter(pc.invert(pc.is_null(table["score"], nan_is_null=True)))
        ranks = np.concatenate([ranks, mixed(table["hash"].to_numpy() ^ salt)])
        values = np.concatenate([values, table["score"].to_numpy().astype(np.float64)])
        order = np.argsort(ranks, kind="stable")[:SETTLING]
        ranks, values = ranks[order], values[order]
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
