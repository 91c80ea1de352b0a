"""Several scores made comparable and joined: bins of equal weight, and the highest of them.

Nemotron-CC's way to join its three classifiers (Su et al. 2024, arXiv 2412.02595), with the numbers
of its published code (NVIDIA-NeMo/Nemotron, data_curation/nemotron-cc, step 3): 20 bins, and bytes
in place of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field

from classifiers.scores.quantiles import Weight
from winnow import (
    Column,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    Position,
    ReduceInput,
    ReportSection,
)


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
        from classifiers.scores.score_bins import map_scores

        return map_scores(self, docs)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Writes cuts.parquet: per column and bin the least score, and what is at or above it."""
        from classifiers.scores.score_bins import find_bins

        return find_bins(self, reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from classifiers.scores.score_bins import append_bucket

        return append_bucket(self, docs, artifacts)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.scores.scores_report import ensemble_sections

        return ensemble_sections(label, self.column, artifacts, metrics)

    def names(self) -> tuple[str, ...]:
        """The columns of the scores, each once."""
        return tuple(dict.fromkeys(self.columns))
