"""Measurements read back: one array per signal over all documents, in the order of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.documents import BoolArray
from pipeline.engine.stage import KEPT, Count, Stage
from pipeline.parquet import read_documents
from pipeline.report.excerpts import Place, fetch
from pipeline.shard_documents import ShardDocuments
from pipeline.tuning.signals import TEXT_BYTES


@dataclass(frozen=True)
class Codes:
    """Text in few different values: ``names[codes[row]]``, where -1 stands for none."""

    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Measurements:
    """What is stored of every document [rows].

    ``signals`` is ``<step>.<signal>`` → float64 with NaN where nothing was measured, ``reasons`` is
    step → why it drops ("" keeps); ``starts`` [files + 1] are the first rows of ``files``.
    """

    files: tuple[Path, ...]
    starts: npt.NDArray[np.int64]
    sources: Codes
    sizes: npt.NDArray[np.int64]
    signals: Mapping[str, npt.NDArray[np.float64]]
    reasons: Mapping[str, Codes]

    def __len__(self) -> int:
        return len(self.sizes)

    def count(self, chosen: BoolArray) -> Count:
        return Count(documents=int(chosen.sum()), bytes=int(self.sizes[chosen].sum()))

    def by_source(self, chosen: BoolArray) -> dict[str, Count]:
        """Each source, those of which nothing is chosen too."""
        codes, count = self.sources.codes[chosen], len(self.sources.names)
        documents = np.bincount(codes, minlength=count)
        sizes = np.bincount(codes, self.sizes[chosen], minlength=count)
        return {
            name: Count(documents=int(documents[i]), bytes=int(sizes[i]))
            for i, name in enumerate(self.sources.names)
        }

    def documents(self, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Row → all that is stored of it, the beginning of its text included."""
        places = {}
        for row in set(rows):
            file = int(np.searchsorted(self.starts, row, side="right")) - 1
            places[Place(row, file, row - int(self.starts[file]))] = row
        shards = [ShardDocuments(path) for path in self.files]
        return {places[place]: found for place, found in fetch(shards, places)}


def read_measurements(
    stage: Stage, sources: Sequence[str], signals: Iterable[str], reasons: Mapping[str, str]
) -> Measurements:
    """The measurements of a stage that is committed.

    ``signals`` are columns of numbers; ``reasons`` is step → column. Those that are not stored are
    left out. Raises ShardError when a file is damaged.
    """
    files = tuple(path for path in stage.outputs.outputs(KEPT) if pq.read_metadata(path).num_rows)
    files = files or tuple(stage.outputs.outputs(KEPT)[:1])
    stored = set.intersection(*(set(pq.read_schema(path).names) for path in files))
    numbers = sorted(set(signals) & stored)
    named = {step: column for step, column in reasons.items() if column in stored}
    columns = ["source", TEXT_BYTES, *numbers, *named.values()]
    tables = [_table(path, columns) for path in files]
    table = pa.concat_tables(tables)
    return Measurements(
        files=files,
        starts=np.cumsum([0, *(part.num_rows for part in tables)], dtype=np.int64),
        sources=_codes(table.column("source"), sources),
        sizes=table.column(TEXT_BYTES).to_numpy(),
        signals={
            name: table.column(name).cast(pa.float64()).fill_null(np.nan).to_numpy()
            for name in numbers
        },
        reasons={
            step: _codes(table.column(column), pc.unique(table.column(column)).to_pylist())
            for step, column in named.items()
        },
    )


def _table(path: Path, columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([pq.read_schema(path).field(name) for name in columns])
    return pa.Table.from_batches(read_documents(path, columns), schema)


def _codes(column: pa.ChunkedArray, names: Sequence[str]) -> Codes:
    found = pc.index_in(column, pa.array(names, pa.large_string())).fill_null(-1)
    return Codes(tuple(names), found.to_numpy().astype(np.int32))
