"""What a reader of `keep`'s results must know: scores that order nothing, cuts at their edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.scores.group_thresholds import group_names, plain_score, shown_name
from classifiers.scores.quantiles import Weight

# A threshold in the outermost hundredth of the range of scores is at its edge if a twentieth of
# the documents lies beyond it. Groups with fewer documents than this are not looked at.
EDGE, BEYOND, LEAST_DOCUMENTS = 0.01, 0.05, 20
# What may be kept beyond what was asked for, as a share of what has a score.
EXCESS = 0.1
SHOWN_NAMES = 5

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What a step ``keep`` was asked for. ``fixed`` are parameters as the manifest gives them, with
    the least score that each keeps."""

    column: str
    by: tuple[str, ...]
    top: str | None
    of: Weight
    fixed: Sequence[tuple[str, float]]
    drop_tied: bool


class ThresholdWarnings:
    """Sentences on a table of group thresholds (group_thresholds.MappedScores.table)."""

    def __init__(self, table: pa.Table, asked: Asked) -> None:
        self.asked = asked
        self.table = table
        self.names = group_names(table, asked.by)
        self.documents = table["documents"].to_numpy()
        self.kept = table["kept_documents"].to_numpy()
        self.tied = table["tied"].to_numpy()

    def nothing_to_choose_by(self) -> bool:
        """Whether ``top`` asks for a part of some groups, and in all of them scores are equal."""
        return bool(self.tied.any() and not (self.table["partial"].to_numpy() & ~self.tied).any())

    def no_order(self) -> str:
        """What is wrong with scores that are all equal, where there are any."""
        rows = np.flatnonzero(self.tied)
        number = int(self.documents[rows].sum())
        if len(self.table) == 1:
            score = _shown(self.table["highest"][0].as_py())
            return (
                f"the score `{self.asked.column}` does not order these documents: all {number:,} "
                f"have {score}"
            )
        return (
            f"the score `{self.asked.column}` does not order the {number:,} documents of "
            f"{len(rows):,} of {len(self.table):,} groups ({self._names(rows)}): in each of these "
            "groups all have the same score"
        )

    def __iter__(self) -> Iterator[str]:
        if not len(self.table):
            return
        if not self.documents.any():
            yield f"no document has a score `{self.asked.column}`, so none was kept"
            return
        if self.tied.any():
            what = "dropped" if self.asked.drop_tied else "kept"
            yield f"{self.no_order()}, so `top: {self.asked.top}` {what} all of them"
        yield from self._excess()
        yield from self._fixed()
        yield from self._edges()

    def _excess(self) -> Iterator[str]:
        rows = ~self.tied & (self.documents > 0)
        whole, kept, asked = (
            self.table[name].to_numpy(zero_copy_only=False)[rows].sum()
            for name in (self.asked.of, f"kept_{self.asked.of}", "asked")
        )
        if whole and (kept - asked) / whole > EXCESS:
            of = "documents that have a score" if self.asked.of == "documents" else "text"
            yield (
                f"`top: {self.asked.top}` kept {100 * kept / whole:.1f} % of the {of}: documents "
                "with the same score stay together"
            )

    def _fixed(self) -> Iterator[str]:
        scored = self.documents > 0
        lowest = float(self.table["lowest"].to_numpy(zero_copy_only=False)[scored].min())
        highest = float(self.table["highest"].to_numpy(zero_copy_only=False)[scored].max())
        for parameter, least in self.asked.fixed:
            if highest < least:
                yield (
                    f"`{parameter}` drops every document: the highest score is {_shown(highest)}"
                )
            elif lowest >= least:
                yield f"`{parameter}` drops no document: the lowest score is {_shown(lowest)}"

    def _edges(self) -> Iterator[str]:
        rows = np.flatnonzero(~self.tied & (self.documents >= LEAST_DOCUMENTS))
        lowest, highest, threshold = (
            self.table[name].to_numpy(zero_copy_only=False)[rows].astype(np.float64)
            for name in ("lowest", "highest", "threshold")
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            place = (threshold - lowest) / (highest - lowest)
            kept = self.kept[rows] / self.documents[rows]
            low = (place > 0) & (place < EDGE) & (1 - kept >= BEYOND)
            high = (place > 1 - EDGE) & (place < 1) & (kept >= BEYOND)
        for at_edge, end, side in ((low, "lowest", "below it"), (high, "highest", "from it on")):
            if at_edge.any():
                yield self._edge(rows[at_edge], end, side)

    def _edge(self, rows: Rows, end: str, side: str) -> str:
        first = int(rows[0])
        threshold, lowest, highest = (
            _shown(self.table[name][first].as_py()) for name in ("threshold", "lowest", "highest")
        )
        where = f" of the group {shown_name(self.names[first])}" if self.asked.by else ""
        others = f", and so it is in {len(rows) - 1:,} more groups" if len(rows) > 1 else ""
        return (
            f"the threshold {threshold}{where} lies in the {end} {100 * EDGE:g} % of the range of "
            f"`{self.asked.column}` ({lowest} to {highest}){others}: the scores of all documents "
            f"{side} are nearly the same"
        )

    def _names(self, rows: Rows) -> str:
        shown = [shown_name(self.names[row]) for row in rows[:SHOWN_NAMES].tolist()]
        rest = len(rows) - len(shown)
        return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _shown(score: float) -> str:
    plain = plain_score(score)
    return str(score) if plain is None else f"{plain:g}"
