"""Samples of a sharded corpus that do not depend on how it is sharded, and reading them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_64_intdigest

from winnow import ShardDocuments

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def hash_of(text: str, seed: int) -> int:
    return xxh3_64_intdigest(text.encode(), seed)


def mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele et al. 2014): bijective, every bit depends on all."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def place_hash(source: pa.LargeStringArray, offset: pa.Int64Array) -> Hashes:
    """A hash [rows] of (``_source``, ``_offset``), whatever batch or shard they are met in."""
    encoded = source.dictionary_encode()
    names = [hash_of(name, 0) for name in encoded.dictionary.to_pylist()]
    hashes = np.array(names, dtype=np.uint64)[encoded.indices.to_numpy()]
    return mixed(hashes ^ mixed(offset.to_numpy().view(np.uint64)))


def ranks(hashes: Hashes, seed: int) -> Hashes:
    """Ranks [rows] of places for samples by ``seed``: whoever has the lowest is in."""
    return mixed(hashes ^ mixed(np.array([seed], dtype=np.uint64)))


def lowest_ranked(
    mapped: Sequence[Path], label: int | None, limit: int, seed: int
) -> tuple[Places, int]:
    """(shard, row) [≤ limit, 2] of the documents with ``label`` whose seeded hash is lowest.

    Of all documents where ``label`` is None. A sample without replacement that does not depend on
    how documents are sharded. Also returns how many documents have the label.
    """
    lowest, places, found = np.empty(0, np.uint64), np.empty((0, 2), np.int64), 0
    for shard, path in enumerate(mapped):
        table = pq.read_table(path, columns=["label", "hash"])
        rows = np.arange(table.num_rows)
        if label is not None:
            rows = np.flatnonzero(table["label"].to_numpy() == label)
        found += len(rows)
        lowest = np.concatenate([lowest, ranks(table["hash"].to_numpy()[rows], seed)])
        places = np.concatenate([places, np.column_stack([np.full_like(rows, shard), rows])])
        order = np.argsort(lowest, kind="stable")[:limit]
        lowest, places = lowest[order], places[order]
    return places, found


def read_rows(
    documents: Sequence[ShardDocuments],
    places: Places,
    columns: Sequence[str],
    shorten: Callable[[pa.ChunkedArray], pa.ChunkedArray] = lambda text: text,
) -> pa.Table:
    """``columns`` of the documents at (shard, row) [n, 2], in that order, as
    ``ShardDocuments.take`` reads them."""
    order = np.lexsort((places[:, 1], places[:, 0]))
    ranked = places[order]
    tables = [
        documents[shard].take(ranked[ranked[:, 0] == shard, 1], columns, shorten)
        for shard in np.unique(ranked[:, 0]).tolist()
    ]
    if not tables:
        return documents[0].take(np.zeros(0, np.int64), columns) if documents else pa.table({})
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_tables(tables).combine_chunks().take(pa.array(back)).combine_chunks()
