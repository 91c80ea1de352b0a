"""What a dedup step found: per shard the rows that go, and because of which document."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winnow import (
    Docs,
    FilterResult,
    Position,
    ReduceInput,
    cached_by_files,
    read_documents,
)

Indices = npt.NDArray[np.int64]

_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("duplicate_of", pa.large_string(), nullable=False),
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Corpus:
    """All documents of the step, numbered from 0 in input order.

    Shard i has the numbers ``bounds[i]`` up to ``bounds[i + 1]``.
    """

    reduce_input: ReduceInput
    bounds: Indices

    @classmethod
    def of(cls, reduce_input: ReduceInput) -> Corpus:
        rows = [pq.read_metadata(path).num_rows for path in reduce_input.mapped]
        return cls(reduce_input, np.cumsum([0, *rows], dtype=np.int64))

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def mapped(self, name: str) -> pa.ChunkedArray:
        """One column of what was mapped [documents], uint64."""
        columns = [
            batch.column(0)
            for path in self.reduce_input.mapped
            for batch in read_documents(path, [name])
        ]
        return pa.chunked_array(columns, pa.uint64())

    def texts(self, documents: Indices) -> Iterator[pa.LargeStringArray]:
        """The texts of ``documents`` (ascending numbers), in batches."""
        for shard, (begin, end) in enumerate(itertools.pairwise(self.bounds.tolist())):
            first, last = np.searchsorted(documents, [begin, end])
            if first == last:
                continue
            rows, row = documents[first:last] - begin, 0
            for batch in self.reduce_input.documents[shard].batches(["text"]):
                inside = rows[(rows >= row) & (rows < row + len(batch))] - row
                if len(inside):
                    yield batch.column(0).take(pa.array(inside))
                row += len(batch)

    def ids(self, documents: Indices) -> pa.LargeStringArray:
        """The ids of ``documents`` (numbers in any order), reading no shard twice."""
        shards = np.searchsorted(self.bounds, documents, side="right") - 1
        order = np.argsort(shards, kind="stable")
        found: list[pa.Array] = [pa.array([], pa.large_string())]
        for shard in np.unique(shards).tolist():
            batches = self.reduce_input.documents[shard].batches(["id"])
            ids = pa.concat_arrays([batch.column(0) for batch in batches])
            rows = documents[order[shards[order] == shard]] - self.bounds[shard]
            found.append(ids.take(pa.array(rows)))
        return pa.concat_arrays(found).take(pa.array(np.argsort(order)))


def write_removals(
    folder: Path,
    corpus: Corpus,
    dropped: Indices,
    survivors: Indices,
    similarity: npt.NDArray[np.float64],
) -> None:
    """One small Parquet file per shard. ``dropped`` [drops] is ascending."""
    ids = corpus.ids(survivors)
    cuts = np.searchsorted(dropped, corpus.bounds)
    for shard, (begin, end) in enumerate(itertools.pairwise(cuts.tolist())):
        rows = dropped[begin:end] - corpus.bounds[shard]
        columns = [pa.array(rows), ids[begin:end], pa.array(similarity[begin:end])]
        table = pa.table(columns, schema=_SCHEMA)
        pq.write_table(table, _file(folder, shard), write_page_checksum=True)


def apply_removals(
    docs: Docs, artifacts: Path, at: Position, reason: str, signals: Sequence[str]
) -> FilterResult:
    """Drop what the artifacts name; ``signals`` are the columns of theirs to show.

    Signals are null for documents that stay.
    """
    table = _read(_file(artifacts, at.shard))
    rows = table.column("row").to_numpy()
    begin, end = np.searchsorted(rows, [at.row, at.row + len(docs)])
    places = np.full(len(docs), -1, np.int64)
    places[rows[begin:end] - at.row] = np.arange(begin, end)
    keep = places < 0
    take = pa.array(places, mask=keep)
    shown = {name: pc.take(table.column(name), take).combine_chunks() for name in signals}
    return FilterResult(keep=keep, reason=reason, signals=shown)


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06d}.parquet"


# A worker judges one shard batch by batch; a few more for executors that interleave shards.
@cached_by_files(maxsize=4)
def _read(path: Path) -> pa.Table:
    return pa.Table.from_batches(read_documents(path), _SCHEMA)
