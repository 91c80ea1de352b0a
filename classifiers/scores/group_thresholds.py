"""What `keep` concludes: a threshold for each group, and what is at or above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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
    keys_of,
    scores_of,
)
from classifiers.scores.score_columns import Group, Groups
from winnow import ReduceInput, read_documents

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

    def table(self, quantiles: GroupQuantiles, fixed: Longs) -> pa.Table:
        """A row for each group, by name (null first), so that input order does not matter."""
        keys = np.concatenate([quantiles.cuts, np.tile(fixed, (len(quantiles.groups), 1))], axis=1)
        threshold = keys.max(axis=1)
        place = {int(group): row for row, group in enumerate(quantiles.groups)}
        order = sorted(self.groups.numbers.items(), key=lambda item: _sorting(item[0]))
        rows = pa.array([place.get(number) for _, number in order], pa.int64())
        found: dict[str, npt.NDArray[Any]] = {
            "documents": quantiles.totals()[0],
            "bytes": quantiles.totals()[1],
            "threshold": scores_of(threshold),
            "kept_documents": quantiles.at_or_above(threshold)[0],
            "kept_bytes": quantiles.at_or_above(threshold)[1],
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
        unscored = [self.unscored.get(number, 0) for _, number in order]
        columns["no_score"] = pa.array(unscored, pa.int64())
        return pa.table(columns)


def _sorting(group: Group) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in group]


@dataclass(frozen=True)
class GroupThresholds:
    """The number of each group is its row. ``cut`` and ``threshold`` [groups + 1] are
    NaN where there is none, and last, for documents of no group."""

    groups: Groups
    cut: Scores
    threshold: Scores


# A worker judges batch by batch with the same artifacts.
@lru_cache(maxsize=4)
def read(path: Path, by: tuple[str, ...]) -> GroupThresholds:
    table = pa.Table.from_batches(read_documents(path), pq.read_schema(path))
    groups = {group: row for row, group in enumerate(_names(table, by))}
    nothing = np.full(len(table), np.nan, np.float32)
    cut = table["cut"].to_numpy() if "cut" in table.column_names else nothing
    none = np.float32(np.nan)
    return GroupThresholds(
        Groups(groups), np.append(cut, none), np.append(table["threshold"], none)
    )


def _names(table: pa.Table, by: tuple[str, ...]) -> list[Group]:
    columns = [table[f"by.{name}"].to_pylist() for name in by]
    return list(zip(*columns, strict=True)) if by else [()] * len(table)


def metrics_of(table: pa.Table, by: tuple[str, ...]) -> dict[str, Any]:
    """What the report shows: all documents, and the largest groups."""
    whole = _group_metrics({name: table[name].to_numpy().sum() for name in _COUNTED}, None)
    if not by:
        thresholds = table["threshold"].to_pylist()
        return {**whole, "threshold": _plain(thresholds[0]) if thresholds else None}
    names = _names(table, by)
    sizes = table["documents"].to_numpy() + table["no_score"].to_numpy()
    largest = np.argsort(-sizes, kind="stable")[:SHOWN_GROUPS]
    shown: dict[str, Any] = {}
    for row in largest.tolist():
        name = ", ".join("(none)" if value is None else value for value in names[row])
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
        **({} if threshold is None else {"threshold": _plain(threshold)}),
    }


def _plain(score: float | None) -> float | None:
    """A 32-bit float as people write it: 0.1, not 0.10000000149. None when it is not finite."""
    return float(str(np.float32(score))) if score is not None and np.isfinite(score) else None
