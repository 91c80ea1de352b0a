"""Keep the documents with the best scores: an exact share of each group, or a fixed threshold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BeforeValidator, Field, FiniteFloat, WithJsonSchema, model_validator

from classifiers.columns import Group, Groups, check_columns, group_column, score_column
from classifiers.quantiles import Longs, Ranks, Scored, Scores, Weight, keys_of, scores_of
from pipeline.documents import Docs
from pipeline.errors import Problem
from pipeline.panel import Chapter
from pipeline.parquet import read_documents
from pipeline.step import BarrierStep, Evidence, ManifestView, Position, Verdict

FINDINGS = "groups.parquet"
SHOWN_GROUPS = 50
NO_SCORE = "no_score"
BELOW_SHARE = "below_top_share"
BELOW_SCORE = "below_min_score"
BELOW_ROUNDED = "below_rounded"
# Columns that every document has and that group documents.
GROUPING = ("source", "language")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s?%")


def parse_share(text: str) -> Fraction:
    """The share meant by ``30%``, exactly. ValueError for other text, 0% and more than 100%."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a share; write one like 30%")
    share = Fraction(match[1]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"{text!r}: the share must be above 0% and at most 100%")
    return share


def _is_share(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a share; write one like 30%")
    parse_share(value)
    return value


Share = Annotated[
    str,
    BeforeValidator(_is_share),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$"}),
]


class Keep(BarrierStep):
    """Keep the documents whose score is high enough and drop the others.

    ``top: 30%`` finds, in each group of ``by``, the highest threshold at or above which there is at
    least this share of the group (of its documents, or of their bytes), and keeps what is at or
    above it. Ties at the threshold all stay, so the share kept can be larger; it is reported. A
    group is one combination of values; null is a value. Documents without a score (null, NaN) count
    for no share and are dropped as ``no_score``.

    ``min_score`` and ``rounded_at_least`` are fixed thresholds; where several are given, a document
    must pass all of them. Scores are read as 32-bit floats. Memory while concluding: about 200 MB,
    and more where there are more than some thousand groups (docs/adr/0009).
    """

    observed_parameters: ClassVar[frozenset[str] | None] = frozenset({"column", "by"})

    column: str = Field(description="column of the scores")
    top: Share | None = Field(
        default=None, description="share of each group to keep, the best first: `30%`"
    )
    by: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="columns of text whose values make the groups: `language`, `source`, or a "
        "column that a step adds; one group of all documents without it",
    )
    of: Weight = Field(default="documents", description="what `top` is a share of")
    min_score: FiniteFloat | None = Field(default=None, description="least score to keep")
    rounded_at_least: int | None = Field(
        default=None,
        ge=-(2**20),
        le=2**20,
        description="least score to keep after rounding to a whole number, halves to the even "
        "one, as Python's `round` does: 3 keeps what is above 2.5",
    )

    @model_validator(mode="after")
    def _something_to_keep(self) -> Keep:
        if (self.top, self.min_score, self.rounded_at_least) == (None, None, None):
            raise ValueError("give `top` (a share), `min_score` or `rounded_at_least`")
        return self

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from check_columns(view, [(("column",), self.column)])
        single = isinstance(self.by, str)
        places = [(("by",) if single else ("by", n), name) for n, name in enumerate(self._by())]
        yield from check_columns(view, places, GROUPING)

    def observe(self, docs: Docs) -> pa.RecordBatch:
        """``score`` [rows] (null without one), ``bytes`` [rows] of text, and ``by.NAME`` [rows]."""
        columns = {
            "score": score_column(docs, self.column),
            "bytes": pc.binary_length(docs.text),
        }
        columns |= {f"by.{name}": group_column(docs, name) for name in self._by()}
        return pa.record_batch(columns)

    def conclude(self, evidence: Evidence, folder: Path) -> Mapping[str, Any]:
        """Writes groups.parquet: per group its documents, the score at the share (``cut``), the
        threshold, and what is at or above it."""
        observed = _Observed(evidence, self._by())
        shares = [] if self.top is None else [parse_share(self.top)]
        fixed = keys_of(np.array([score for score, _ in self._fixed()], np.float32))
        ranks = Ranks.of(observed, shares, self.of, fixed.tolist())
        table = observed.table(ranks, fixed)
        pq.write_table(table, folder / FINDINGS, write_page_checksum=True)
        return _facts(table, self._by())

    def judge(self, docs: Docs, findings: Path, at: Position) -> Verdict:
        found = _read(findings / FINDINGS, self._by())
        columns = [group_column(docs, name) for name in self._by()]
        group = found.groups.of(columns, len(docs))
        scores = score_column(docs, self.column).to_numpy(zero_copy_only=False)
        reasons = [NO_SCORE, BELOW_SHARE, *(reason for _, reason in self._fixed())]
        # No document is below NaN, the cut where there is none.
        broken = [np.isnan(scores), scores < found.cut[group]]
        broken += [scores < least for least, _ in self._fixed()]
        codes = np.select(broken, range(1, len(reasons) + 1), 0)
        signals = {"score": scores, "threshold": found.threshold[group]}
        return Verdict.of_codes(codes, reasons, signals)

    def chapters(self, label: str, findings: Path, facts: Mapping[str, Any]) -> Sequence[Chapter]:
        from classifiers.score_chapters import keep_chapters

        return keep_chapters(label, self.column, facts)

    def _by(self) -> tuple[str, ...]:
        names = (self.by,) if isinstance(self.by, str) else self.by or ()
        return tuple(dict.fromkeys(names))

    def _fixed(self) -> list[tuple[np.float32, str]]:
        """Least scores to keep, whatever the group, each with the reason of what is below."""
        found = []
        if self.min_score is not None:
            found.append((_at_least(self.min_score), BELOW_SCORE))
        if self.rounded_at_least is not None:
            half = np.float32(self.rounded_at_least - 0.5)
            # Halves go to the even number: 1.5 up to 2, but 2.5 down to 2 as well.
            odd = self.rounded_at_least % 2 == 1
            least = np.nextafter(half, np.float32(np.inf)) if odd else half
            found.append((least, BELOW_ROUNDED))
        return found


def _at_least(value: float) -> np.float32:
    """The least 32-bit float that is not below ``value``."""
    with np.errstate(over="ignore"):
        near = np.float32(value)
    return np.nextafter(near, np.float32(np.inf)) if float(near) < value else near


@dataclass
class _Observed:
    """The scores that were observed, streamed as often as asked for."""

    evidence: Evidence
    by: tuple[str, ...]
    groups: Groups = field(default_factory=Groups)
    unscored: dict[int, int] = field(default_factory=dict)

    def __call__(self) -> Iterator[Scored]:
        self.unscored = {}
        for path in self.evidence.observations:
            for batch in read_documents(path):
                columns = [batch.column(f"by.{name}") for name in self.by]
                group = self.groups.of(columns, len(batch))
                scores = batch.column("score")
                there = scores.is_valid().to_numpy(zero_copy_only=False)
                for number in group[~there].tolist():
                    self.unscored[number] = self.unscored.get(number, 0) + 1
                keys = keys_of(scores.drop_null().to_numpy())
                yield Scored(group[there], keys, batch.column("bytes").to_numpy()[there])

    def table(self, ranks: Ranks, fixed: Longs) -> pa.Table:
        """A row for each group, by name (null first), so that input order does not matter."""
        keys = np.concatenate([ranks.cuts, np.tile(fixed, (len(ranks.groups), 1))], axis=1)
        threshold = keys.max(axis=1)
        place = {int(group): row for row, group in enumerate(ranks.groups)}
        order = sorted(self.groups.numbers.items(), key=lambda item: _sorting(item[0]))
        rows = pa.array([place.get(number) for _, number in order], pa.int64())
        found: dict[str, npt.NDArray[Any]] = {
            "documents": ranks.totals()[0],
            "bytes": ranks.totals()[1],
            "threshold": scores_of(threshold),
            "kept_documents": ranks.at_or_above(threshold)[0],
            "kept_bytes": ranks.at_or_above(threshold)[1],
        }
        if ranks.cuts.shape[1]:
            found["cut"] = scores_of(ranks.cuts[:, 0])
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
class _Found:
    """The findings: the number of each group is its row. ``cut`` and ``threshold`` [groups] are
    NaN where there is none."""

    groups: Groups
    cut: Scores
    threshold: Scores


# A worker judges batch by batch with the same findings.
@lru_cache(maxsize=4)
def _read(path: Path, by: tuple[str, ...]) -> _Found:
    table = pa.Table.from_batches(read_documents(path), pq.read_schema(path))
    groups = {group: row for row, group in enumerate(_names(table, by))}
    threshold = table["threshold"].to_numpy()
    nothing = np.full(len(table), np.nan, np.float32)
    cut = table["cut"].to_numpy() if "cut" in table.column_names else nothing
    return _Found(Groups(groups), cut, threshold)


def _names(table: pa.Table, by: tuple[str, ...]) -> list[Group]:
    columns = [table[f"by.{name}"].to_pylist() for name in by]
    return list(zip(*columns, strict=True)) if by else [()] * len(table)


def _facts(table: pa.Table, by: tuple[str, ...]) -> dict[str, Any]:
    """What the report shows: all documents, and the largest groups."""
    whole = _fact({name: table[name].to_numpy().sum() for name in _COUNTED}, None)
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
        shown[name] = _fact(values, values["threshold"])
    return {
        **whole,
        "groups": len(table),
        "groups_not_shown": len(table) - len(shown),
        "by_group": shown,
    }


_COUNTED = ("documents", "bytes", "kept_documents", "kept_bytes", "no_score")


def _fact(counts: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
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
