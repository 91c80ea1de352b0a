"""What `keep` concludes: a threshold for each group, and what is at or above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.scores.quantiles import (
    GroupQuantiles,
    Longs,
    ScoreBatch,
    Scores,
    Weight,
    keys_of,
    scores_of,
)
from classifiers.scores.score_columns import Group, Groups
from winnow import ReduceInput, cached_by_files, read_documents

SHOWN_GROUPS = 50


@dataclass
class MappedScores:
    """The scores that were mapped, streamed as often as asked for."""

    reduce_input: ReduceInput
    by: tuple[str, ...]
    groups: Groups = field(default_factory=Groups)
    unscored: dict[int, int] = field(default_factory=dict)

    def __call__(self) -> Iterator[ScoreBatch]:
        self.unscored = {}
        for path in self.reduce_input.mapped:
            for batch in read_documents(path):
                columns = [batch.column(f"by.{name}") for name in self.by]
                group = self.groups.of(columns, len(batch))
                scores = batch.column("score")
                there = scores.is_valid().to_numpy(zero_copy_only=False)
                for number in group[~there].tolist():
                    self.unscored[number] = self.unscored.get(number, 0) + 1
                keys = keys_of(scores.drop_null().to_numpy())
                yield ScoreBatch(group[there], keys, batch.column("bytes").to_numpy()[there])

    def table(
        self, quantiles: GroupQuantiles, fixed: Longs, of: Weight, drop_tied: bool
    ) -> pa.Table:
        """A row for each group, by name (null first), so that input order does not matter.

        ``asked`` is how many documents or bytes ``top`` asks for; ``partial`` is true for a group
        of several documents if that is not all of it, and ``tied`` where moreover their scores are
        all equal; with ``drop_tied`` nothing of those is kept.
        """
        keys = np.concatenate([quantiles.cuts, np.tile(fixed, (len(quantiles.groups), 1))], axis=1)
        threshold = keys.max(axis=1)
        place = {int(group): row for row, group in enumerate(quantiles.groups)}
        order = sorted(self.groups.numbers.items(), key=lambda item: _sorting(item[0]))
        rows = pa.array([place.get(number) for _, number in order], pa.int64())
        documents, sizes = quantiles.totals()
        whole = documents if of == "documents" else sizes
        asked = quantiles.needs[:, 0] if quantiles.needs.shape[1] else whole
        partial = (asked < whole) & (documents > 1)
        tied = partial & (quantiles.lowest == quantiles.highest)
        kept_documents, kept_sizes = quantiles.at_or_above(threshold)
        found: dict[str, npt.NDArray[Any]] = {
            "documents": documents,
            "bytes": sizes,
            "lowest": scores_of(quantiles.lowest),
            "highest": scores_of(quantiles.highest),
            "asked": asked,
            "partial": partial,
            "tied": tied,
            "threshold": scores_of(threshold),
            "kept_documents": np.where(tied & drop_tied, 0, kept_documents),
            "kept_bytes": np.where(tied & drop_tied, 0, kept_sizes),
        }
        if quantiles.cuts.shape[1]:
            found["cut"] = scores_of(quantiles.cuts[:, 0])
        columns = {
            f"by.{name}": pa.array([group[n] for group, _ in order], pa.large_string())
            for n, name in enumerate(self.by)
        }
        columns |= {name: pa.array(values).take(rows) for name, values in found.items()}
        for name in _COUNTED[:-1]:
            columns[name] = columns[name].fill_null(0)
        for name in ("partial", "tied"):
            columns[name] = columns[name].fill_null(False)
        unscored = [self.unscored.get(number, 0) for _, number in order]
        columns["no_score"] = pa.array(unscored, pa.int64())
        return pa.table(columns)


def _sorting(group: Group) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in group]


@dataclass(frozen=True)
class GroupThresholds:
    """The number of each group is its row. ``cut`` and ``threshold`` [groups + 1] are NaN where
    there is none, and last, for documents of no group. ``tied`` [groups + 1] is as in the table."""

    groups: Groups
    cut: Scores
    threshold: Scores
    tied: npt.NDArray[np.bool_]


# A worker judges batch by batch with the same artifacts.
@cached_by_files(maxsize=4)
def read(path: Path, by: tuple[str, ...]) -> GroupThresholds:
    table = pa.Table.from_batches(read_documents(path), pq.read_schema(path))
    groups = {group: row for row, group in enumerate(group_names(table, by))}
    nothing = np.full(len(table), np.nan, np.float32)
    cut = table["cut"].to_numpy() if "cut" in table.column_names else nothing
    none = np.float32(np.nan)
    return GroupThresholds(
        Groups(groups),
        np.append(cut, none),
        np.append(table["threshold"], none),
        np.append(table["tied"].to_numpy(), False),
    )


def group_names(table: pa.Table, by: tuple[str, ...]) -> list[Group]:
    """The values of ``by`` [groups] of each row."""
    columns = [table[f"by.{name}"].to_pylist() for name in by]
    return list(zip(*columns, strict=True)) if by else [()] * len(table)


def metrics_of(table: pa.Table, by: tuple[str, ...]) -> dict[str, Any]:
    """What the report shows: all documents, and the largest groups."""
    whole = _group_metrics({name: table[name].to_numpy().sum() for name in _COUNTED}, None)
    if not by:
        thresholds = table["threshold"].to_pylist()
        return {**whole, "threshold": plain_score(thresholds[0]) if thresholds else None}
    names = group_names(table, by)
    sizes = table["documents"].to_numpy() + table["no_score"].to_numpy()
    largest = np.argsort(-sizes, kind="stable")[:SHOWN_GROUPS]
    shown: dict[str, Any] = {}
    for row in largest.tolist():
        name = shown_name(names[row])
        # Values with commas may read alike.
        name = name if name not in shown else f"{name} ({row})"
        (values,) = table.slice(row, 1).to_pylist()
        shown[name] = _group_metrics(values, values["threshold"])
    return {
        **whole,
        "groups": len(table),
        "groups_not_shown": len(table) - len(shown),
        "by_group": shown,
    }


def shown_name(group: Group) -> str:
    """A group as the report names it."""
    return ", ".join("(none)" if value is None else value for value in group)


_COUNTED = ("documents", "bytes", "kept_documents", "kept_bytes", "no_score")


def _group_metrics(counts: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    scored, kept = int(counts["documents"]), int(counts["kept_documents"])
    sizes, kept_bytes = int(counts["bytes"]), int(counts["kept_bytes"])
    return {
        "documents": scored + int(counts["no_score"]),
        "no_score": int(counts["no_score"]),
        "kept": kept,
        "kept_of_scored": round(kept / scored, 6) if scored else None,
        "kept_of_bytes": round(kept_bytes / sizes, 6) if sizes else None,
        **({} if threshold is None else {"threshold": plain_score(threshold)}),
    }


def plain_score(score: float | None) -> float | None:
    """A 32-bit float as people write it: 0.1, not 0.10000000149. None when it is not finite."""
    return float(str(np.float32(score))) if score is not None and np.isfinite(score) else None
