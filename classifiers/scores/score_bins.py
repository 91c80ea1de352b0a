"""How the step `ensemble` finds the bins of each score and joins them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.scores.quantiles import (
    GroupQuantiles,
    Longs,
    ScoreBatch,
    Scores,
    keys_of,
    scores_of,
)
from classifiers.scores.score_columns import score_column
from winnow import Docs, FilterResult, ReduceInput, cached_by_files, read_documents

if TYPE_CHECKING:
    from classifiers.scores.ensemble import Ensemble

ARTIFACTS = "cuts.parquet"
NO_BIN = -1


def map_scores(step: Ensemble, docs: Docs) -> pa.RecordBatch:
    """The scores of each document [rows] and the bytes [rows] of its text."""
    columns = {f"score.{name}": score_column(docs, name) for name in step.names()}
    return pa.record_batch({**columns, "bytes": pc.binary_length(docs.text)})


def find_bins(step: Ensemble, reduce_input: ReduceInput, folder: Path) -> dict[str, Any]:
    """Write where bins begin into ``folder``; what is in each bucket, as metrics."""
    names = step.names()
    shares = [Fraction(step.bins - number, step.bins) for number in range(1, step.bins)]
    mapped = MappedColumns(reduce_input, names)
    quantiles = GroupQuantiles.of(mapped, shares, step.of)
    table = _table(quantiles, names)
    pq.write_table(table, folder / ARTIFACTS, write_page_checksum=True)
    cuts = _cuts(table, names)
    documents, sizes = mapped.buckets(cuts, step.bins)
    scored = dict(zip(quantiles.groups.tolist(), quantiles.totals()[0].tolist(), strict=True))
    return {
        "documents": int(documents.sum()),
        "without_any_score": int(documents[NO_BIN]),
        "scored": {name: scored.get(n, 0) for n, name in enumerate(names)},
        "warnings": list(_warnings(quantiles, names)),
        "buckets": {
            str(number): {"documents": int(documents[number]), "bytes": int(sizes[number])}
            for number in range(step.bins)
        },
    }


def append_bucket(step: Ensemble, docs: Docs, artifacts: Path) -> FilterResult:
    """The bucket of each document [rows], null without any score."""
    names = step.names()
    cuts = _read(artifacts / ARTIFACTS, names)
    scores = [score_column(docs, name) for name in names]
    bucket = _join(scores, cuts)
    column = pa.array(bucket, mask=bucket == NO_BIN)
    return FilterResult(np.ones(len(docs), np.bool_), columns={step.column: column})


def _warnings(quantiles: GroupQuantiles, names: tuple[str, ...]) -> Iterator[str]:
    """Scores that sort nothing into buckets."""
    numbers = quantiles.groups.tolist()
    equal = (quantiles.lowest == quantiles.highest) & (quantiles.totals()[0] > 1)
    for number, name in enumerate(names):
        if number not in numbers:
            yield f"no document has a score `{name}`"
        elif equal[row := numbers.index(number)]:
            (score,) = scores_of(quantiles.lowest[row : row + 1]).tolist()
            yield (
                f"the score `{name}` does not order documents: all have {score:g}, which puts "
                "them all into the highest bucket"
            )


@dataclass(frozen=True)
class MappedColumns:
    """The scores that were mapped. A column is a group of its own."""

    reduce_input: ReduceInput
    names: tuple[str, ...]

    def __call__(self) -> Iterator[ScoreBatch]:
        for scores, sizes in self._batches():
            for number, column in enumerate(scores):
                keys = keys_of(column.drop_null().to_numpy())
                there = column.is_valid().to_numpy(zero_copy_only=False)
                yield ScoreBatch(np.full(len(keys), number, np.int64), keys, sizes[there])

    def buckets(self, cuts: list[Scores], bins: int) -> tuple[Longs, Longs]:
        """Documents and bytes [bins + 1] by bucket; the last are those without any score."""
        documents, sizes = np.zeros(bins + 1, np.int64), np.zeros(bins + 1, np.int64)
        for scores, size in self._batches():
            bucket = _join(scores, cuts)
            np.add.at(documents, bucket, 1)
            np.add.at(sizes, bucket, size)
        return documents, sizes

    def _batches(self) -> Iterator[tuple[list[pa.FloatArray], Longs]]:
        for path in self.reduce_input.mapped:
            for batch in read_documents(path):
                scores = [batch.column(f"score.{name}") for name in self.names]
                yield scores, batch.column("bytes").to_numpy()


def _join(scores: list[pa.FloatArray], cuts: list[Scores]) -> npt.NDArray[np.int32]:
    """The highest bin [rows] over ``scores`` [columns][rows]; NO_BIN without any."""
    bins = []
    for column, known in zip(scores, cuts, strict=True):
        values = column.to_numpy(zero_copy_only=False)
        found = np.searchsorted(known, values, side="right")
        bins.append(np.where(np.isnan(values), NO_BIN, found))
    return np.asarray(np.max(bins, axis=0), np.int32)


def _table(quantiles: GroupQuantiles, names: tuple[str, ...]) -> pa.Table:
    """A row per column and bin above 0, columns in the manifest's order, bins ascending."""
    shares = quantiles.cuts.shape[1]
    counts = [quantiles.at_or_above(quantiles.cuts[:, number]) for number in range(shares)]
    documents, sizes = (np.stack([c[k] for c in counts], axis=1).ravel() for k in (0, 1))
    columns = [names[group] for group in quantiles.groups.tolist() for _ in range(shares)]
    return pa.table(
        {
            "column": pa.array(columns, pa.large_string()),
            "bin": np.tile(np.arange(1, shares + 1, dtype=np.int32), len(quantiles.groups)),
            "least_score": scores_of(quantiles.cuts.ravel()),
            "documents_at_or_above": documents,
            "bytes_at_or_above": sizes,
        }
    )


@cached_by_files(maxsize=4)
def _read(path: Path, names: tuple[str, ...]) -> list[Scores]:
    return _cuts(pa.Table.from_batches(read_documents(path), pq.read_schema(path)), names)


def _cuts(table: pa.Table, names: tuple[str, ...]) -> list[Scores]:
    """Least scores of the bins above 0, ascending, per column; none for one without scores."""
    return [
        table.filter(pc.equal(table["column"], pa.scalar(name, pa.large_string())))[
            "least_score"
        ].to_numpy()
        for name in names
    ]
