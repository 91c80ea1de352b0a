"""Several scores made comparable and joined: bins of equal weight, and the highest of them.

Nemotron-CC's way to join its three classifiers (Su et al. 2024, arXiv 2412.02595), with the numbers
of its published code (NVIDIA-NeMo/Nemotron, data_curation/nemotron-cc, step 3): 20 bins, and bytes
in place of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from classifiers.scores.quantiles import (
    GroupQuantiles,
    Longs,
    ScoreBatch,
    Scores,
    Weight,
    keys_of,
    scores_of,
)
from classifiers.scores.score_columns import score_column
from winnow import (
    Column,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    Position,
    ReduceInput,
    ReportSection,
    cached_by_files,
    read_documents,
)

ARTIFACTS = "cuts.parquet"
NO_BIN = -1


class Ensemble(GlobalStep):
    """Append a bucket that joins several scores: of each its bin, of the bins the highest.

    The bins of a score hold equal shares of the text: bin ``b`` begins at the highest threshold at
    or above which there is at least the share ``(bins - b) / bins`` of it, the one that ``keep``
    finds. Equal scores are in the same bin, the highest that they reach; so bins of a score with
    few values are unequal, and some may be empty.

    The scores that a document has are joined. One that is null or NaN counts for no bin, and a
    document without any has a bucket of null. Nothing is dropped.
    """

    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"columns"})

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)] = Field(
        description="columns of the scores"
    )
    bins: int = Field(default=20, ge=2, le=1_000, description="bins of equal weight")
    of: Weight = Field(default="bytes", description="what each bin holds an equal share of")
    column: str = Field(
        default="quality_bucket",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="name of the column with the bucket, from 0 (worst) to `bins` - 1",
    )

    def reads(self) -> dict[Location, Column]:
        return {
            ("columns", number): Column(name, "numbers") for number, name in enumerate(self.columns)
        }

    def adds(self) -> dict[str, pa.DataType]:
        return {self.column: pa.int32()}

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``score.NAME`` [rows] (null without one) and ``bytes`` [rows] of text."""
        import pyarrow.compute as pc

        columns = {f"score.{name}": score_column(docs, name) for name in self._names()}
        return pa.record_batch({**columns, "bytes": pc.binary_length(docs.text)})

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Writes cuts.parquet: per column and bin the least score, and what is at or above it."""
        import pyarrow.parquet as pq

        shares = [Fraction(self.bins - number, self.bins) for number in range(1, self.bins)]
        mapped = MappedColumns(reduce_input, self._names())
        quantiles = GroupQuantiles.of(mapped, shares, self.of)
        table = _table(quantiles, self._names())
        pq.write_table(table, folder / ARTIFACTS, write_page_checksum=True)
        cuts = _cuts(table, self._names())
        documents, sizes = mapped.buckets(cuts, self.bins)
        scored = dict(zip(quantiles.groups.tolist(), quantiles.totals()[0].tolist(), strict=True))
        return {
            "documents": int(documents.sum()),
            "without_any_score": int(documents[NO_BIN]),
            "scored": {name: scored.get(n, 0) for n, name in enumerate(self._names())},
            "warnings": list(self._warnings(quantiles)),
            "buckets": {
                str(number): {"documents": int(documents[number]), "bytes": int(sizes[number])}
                for number in range(self.bins)
            },
        }

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        cuts = _read(artifacts / ARTIFACTS, self._names())
        scores = [score_column(docs, name) for name in self._names()]
        bucket = _join(scores, cuts)
        column = pa.array(bucket, mask=bucket == NO_BIN)
        return FilterResult(np.ones(len(docs), np.bool_), columns={self.column: column})

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.scores.scores_report import ensemble_sections

        return ensemble_sections(label, self.column, artifacts, metrics)

    def _warnings(self, quantiles: GroupQuantiles) -> Iterator[str]:
        """Scores that sort nothing into buckets."""
        numbers = quantiles.groups.tolist()
        equal = (quantiles.lowest == quantiles.highest) & (quantiles.totals()[0] > 1)
        for number, name in enumerate(self._names()):
            if number not in numbers:
                yield f"no document has a score `{name}`"
            elif equal[row := numbers.index(number)]:
                (score,) = scores_of(quantiles.lowest[row : row + 1]).tolist()
                yield (
                    f"the score `{name}` does not order documents: all have {score:g}, which puts "
                    "them all into the highest bucket"
                )

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.columns))


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
    import pyarrow.parquet as pq

    return _cuts(pa.Table.from_batches(read_documents(path), pq.read_schema(path)), names)


def _cuts(table: pa.Table, names: tuple[str, ...]) -> list[Scores]:
    """Least scores of the bins above 0, ascending, per column; none for one without scores."""
    import pyarrow.compute as pc

    return [
        table.filter(pc.equal(table["column"], pa.scalar(name, pa.large_string())))[
            "least_score"
        ].to_numpy()
        for name in names
    ]
