"""How scores of the kept documents are spread, per source, in one bounded pass per column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.blocks import Block, Chart, ReportSection, Table
from pipeline.report.funnel_counts import FunnelCounts
from pipeline.shard_documents import ShardDocuments

# Quantiles are read from the fine bins, so they are off by at most a thousandth of the range.
FINE_BINS: Final = 1_000
DRAWN_BINS: Final = 40
# Where the largest value is that many times the mean, nearly all would share the first bin.
LONG_TAIL: Final = 25

TINT: Final = "#8aa8cf"  # of the accent, so that the median shows on the bars

Counts = npt.NDArray[np.int64]


def scores_section(counts: FunnelCounts) -> ReportSection | None:
    """A drawing and a table of quantiles for each score column of the kept documents."""
    blocks: list[Block] = []
    sources = list(counts.kept_by_source)
    for name in score_columns(counts.kept_shards):
        found = spread(counts.kept_shards, name, sources)
        if found is None:
            continue
        rows: list[list[str | int | float | None]] = [
            [
                *(source, int(found.counts[source].sum()), found.missing[source]),
                *(found.quantile(source, share) for share in (0.1, 0.25, 0.5, 0.75, 0.9)),
            ]
            for source in sources
        ]
        columns = ["Source", "Scored", "Without", "10 %", "25 %", "Median", "75 %", "90 %"]
        note = "Quantiles are exact to a thousandth of the range."
        if found.is_log:
            note = "Quantiles are exact to a thousandth of the range of logarithms."
        blocks += [chart(found), Table(f"Quantiles of {name}", columns, rows, note)]
    return ReportSection("scores", "Scores", blocks) if blocks else None


@dataclass(frozen=True)
class Spread:
    """Scores of one column: ``counts`` holds source → documents [FINE_BINS] in bins from ``low`` to
    ``high``, equal ones or, with ``is_log``, equal ones of log(1 + score); ``missing`` is source →
    documents without a score (null or NaN)."""

    column: str
    low: float
    high: float
    counts: Mapping[str, Counts]
    missing: Mapping[str, int] = field(default_factory=dict)
    is_log: bool = False

    def quantile(self, source: str, share: float) -> float | None:
        """The score below which ``share`` of the source's documents are; None without any."""
        cumulated = np.cumsum(self.counts[source])
        if not cumulated[-1]:
            return None
        place = int(np.searchsorted(cumulated, share * cumulated[-1]))
        before = cumulated[place - 1] if place else 0
        inside = (share * cumulated[-1] - before) / (cumulated[place] - before)
        return self.at((place + inside) / FINE_BINS)

    def at(self, share: float) -> float:
        """The score at ``share`` of the way from the first bin to the last."""
        if self.is_log:
            low, high = np.log1p((self.low, self.high))
            return float(np.expm1(low + share * (high - low)))
        return float(self.low + share * (self.high - self.low))


def score_columns(shards: Sequence[ShardDocuments]) -> list[str]:
    """Floating-point columns of ``shards``, in the order in which steps appended them."""
    names: dict[str, None] = {}
    for documents in shards:
        schema = documents.schema
        names.update(dict.fromkeys(f.name for f in schema if pa.types.is_floating(f.type)))
    return list(names)


def spread(shards: Sequence[ShardDocuments], column: str, sources: Sequence[str]) -> Spread | None:
    """None when no document has a finite score."""
    low, high, mean = _range(shards, column)
    if low > high:
        return None
    is_log = low >= 0 and high > max(1.0, LONG_TAIL * mean)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low == high:
        low, high = low - 0.5, high + 0.5
    counts = {source: np.zeros(FINE_BINS, np.int64) for source in sources}
    missing = dict.fromkeys(sources, 0)
    for names, values in _batches(shards, column):
        for source in names.unique().to_pylist():
            mine = values[pc.equal(names, source).to_numpy(zero_copy_only=False)]
            finite = mine[np.isfinite(mine)]
            ends = (low, high)
            if is_log:
                finite, ends = np.log1p(finite), (np.log1p(low), np.log1p(high))
            counts[source] += np.histogram(finite, FINE_BINS, ends)[0]
            missing[source] += len(mine) - len(finite)
    return Spread(column, low, high, counts, missing, is_log)


def _batches(
    shards: Sequence[ShardDocuments], column: str
) -> Iterator[tuple[pa.Array, npt.NDArray[np.float64]]]:
    for documents in shards:
        if column not in documents.schema.names:
            continue
        for batch in documents.batches(["source", column]):
            scores = batch.column(column).cast(pa.float64())
            yield batch.column("source"), scores.fill_null(np.nan).to_numpy(zero_copy_only=False)


def _range(shards: Sequence[ShardDocuments], column: str) -> tuple[float, float, float]:
    """The least, the largest and the mean finite score; inf, -inf and 0 without any."""
    low, high, total, count = np.inf, -np.inf, 0.0, 0
    for _, values in _batches(shards, column):
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            total, count = total + float(finite.sum()), count + len(finite)
    return low, high, total / count if count else 0.0


def chart(spread: Spread) -> Chart:
    """One small histogram per source, on shared axes; a line marks the median."""
    import altair as alt  # loaded when something is drawn, for it takes a third of a second

    sources = [source for source, counts in spread.counts.items() if counts.any()]
    bars = [bar for source in sources for bar in _bars(spread, source)]
    medians = [{"source": s, "median": spread.quantile(s, 0.5)} for s in sources]
    kind: Any = "symlog" if spread.is_log else "linear"  # symlog is log(1 + x) where x ≥ 0
    scale = alt.Scale(type=kind, domain=[spread.low, spread.high], nice=False)
    powers = [float(10**n) for n in range(16) if spread.low <= 10**n <= spread.high]
    ticks = {"values": [0.0, *powers], "labelOverlap": True} if spread.is_log else {"tickCount": 5}
    digits = "~s" if spread.high >= 10_000 else ",~r"
    base = alt.Chart(alt.Data(values=[*bars, *medians]))
    drawn = base.transform_filter("isValid(datum.share)").mark_bar(binSpacing=0.5, color=TINT)
    layers = drawn.encode(
        x=alt.X(
            "from:Q",
            bin="binned",
            title=None,
            scale=scale,
            axis=alt.Axis(grid=False, format=digits, **ticks),
        ),
        x2="to:Q",
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=3)),
    ) + base.transform_filter("isValid(datum.median)").mark_rule(
        strokeDash=[4, 3], strokeWidth=1.5
    ).encode(x="median:Q")
    columns = min(3, len(sources))
    faceted = layers.properties(width=(880 - 30 * columns) // columns, height=110).facet(
        alt.Facet("source:N", title=None, sort=sources, header=alt.Header(labelAnchor="start")),
        columns=columns,
    )
    medians_text = ", ".join(f"{s} {spread.quantile(s, 0.5):.3g}" for s in sources)
    return Chart(
        title=f"{spread.column} of kept documents, by source",
        spec=faceted.to_dict(),
        alt=f"Histograms of {spread.column} per source. Medians: {medians_text}.",
        note="Share of the source’s documents per bin; the dashed line is the median.",
    )


def _bars(spread: Spread, source: str) -> list[dict[str, Any]]:
    counts = spread.counts[source].reshape(DRAWN_BINS, -1).sum(axis=1)
    edges = [spread.at(share) for share in np.linspace(0, 1, DRAWN_BINS + 1)]
    return [
        {
            "source": source,
            "from": float(edges[i]),
            "to": float(edges[i + 1]),
            "share": float(count / counts.sum()),
        }
        for i, count in enumerate(counts)
        if count
    ]
