"""Histograms of signals with their limits, and which rules are broken together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.documents import BoolArray
from pipeline.report.blocks import Chart
from pipeline.report.charts import ACCENT, MUTED, PALETTE
from pipeline.report.format import formatted
from pipeline.tuning.effects import FilterEffect, RuleEffect, TuningResult

if TYPE_CHECKING:
    import altair as alt

BINS: Final = 40
COLUMNS: Final = 3
RULES_IN_OVERLAP: Final = 18
REMOVED: Final = PALETTE[1]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Limits = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Bars:
    """How many documents are ``kept`` and ``removed`` [bins] between ``edges`` [bins + 1].

    Every limit is an edge, so that a bar is one or the other; ``cuts`` holds where it stands, and
    ``old_cuts`` where other limits would.
    The first and the last bar hold what lies beyond the edges.
    """

    edges: Floats
    kept: Counts
    removed: Counts
    cuts: tuple[float, ...]
    old_cuts: tuple[float, ...]
    is_log: bool


def bars(values: Floats, limits: Limits, others: Limits = ()) -> Bars | None:
    """Bins of the finite ``values``; None when there are none. ``others`` are limits that the
    range must show too, but that remove nothing."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    ends = [*np.quantile(finite, (0.001, 0.999)), *(limit for _, limit in (*limits, *others))]
    low, high = float(min(ends)), float(max(ends))
    counted = bool(np.all(finite == np.round(finite))) and high - low <= BINS
    is_log = not counted and low >= 0 and high >= max(1000, 60 * float(np.median(finite)))
    if counted:
        edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0)
    elif is_log:
        shown = np.array([*finite, *(limit for _, limit in (*limits, *others))])
        low = max(low, float(np.min(shown[shown > 0], initial=high)), 0.5)
        edges = np.geomspace(low / 1.1, high * 1.1, BINS + 1)
    else:
        margin = (high - low) / BINS or 0.5
        edges = np.linspace(low - margin * (low != 0), high + margin, BINS + 1)
    cut = _half if counted else _cut
    cuts, old = (tuple(cut(*limit) for limit in some) for some in (limits, others))
    edges = _with_cuts(edges, [at for at in cuts if edges[0] < at < edges[-1]])
    beyond = np.zeros(len(finite), dtype=np.bool_)
    for sign, limit in limits:
        beyond |= finite < limit if sign == "≥" else finite > limit
    drawn = np.clip(finite, edges[0], edges[-1])
    kept, removed = (np.histogram(drawn[side], edges)[0] for side in (~beyond, beyond))
    return Bars(edges, kept, removed, cuts, old, is_log)


def _cut(sign: str, limit: float) -> float:
    """Where bins part: what equals a limit stays."""
    return limit if sign == "≥" else float(np.nextafter(limit, np.inf))


def _half(sign: str, limit: float) -> float:
    return float(np.ceil(limit)) - 0.5 if sign == "≥" else float(np.floor(limit)) + 0.5


def _with_cuts(edges: Floats, cuts: Iterable[float]) -> Floats:
    """``edges`` with ``cuts`` among them, in place of those that are too near to be seen apart."""
    for cut in cuts:
        width = np.min(np.diff(edges)) / 20
        near = np.abs(edges - cut) < width
        near[[0, -1]] = False
        edges = np.sort(np.append(edges[~near], cut))
    return edges


def histograms(tuned: TuningResult, found: FilterEffect) -> Chart | None:
    """One small histogram for each signal that the filter's rules look at."""
    import altair as alt  # loaded when something is drawn, for it takes a third of a second

    charts, captions = [], []
    by_signal: dict[str, list[RuleEffect]] = {}
    for effect in found.rules:
        if effect.limits:
            by_signal.setdefault(effect.signal, []).append(effect)
    for signal, rules in by_signal.items():
        limits = [limit for effect in rules for limit in effect.limits]
        old = [limit for r in rules if tuned.is_changed(r) for limit in _before(tuned, r)]
        drawn = bars(tuned.stored.signals[signal], limits, old)
        if drawn is None:
            continue
        words = ", ".join(f"{sign} {formatted(limit)}" for sign, limit in limits)
        if old:
            words += f" (was {', '.join(f'{sign} {formatted(limit)}' for sign, limit in old)})"
        name = signal.removeprefix(f"{found.label}.")
        charts.append(_histogram(drawn, name, words))
        gone, rest = int(drawn.removed.sum()), int(drawn.kept.sum())
        captions.append(f"{name}: {gone:,} of {gone + rest:,} beyond {words}")
    if not charts:
        return None
    grid = alt.concat(*charts, columns=COLUMNS, spacing={"row": 26, "column": 24})
    return Chart(
        title=f"What {found.label} measures, and its limits",
        spec=grid.resolve_scale(color="shared").to_dict(),
        alt=f"Histograms of documents by signal. {'; '.join(captions)}.",
        note="Documents per bin on a logarithmic scale; the outermost bars hold what lies beyond. "
        "A line is a limit, a dashed one as the manifest has it. Removed: by these limits, "
        "whatever the rest says.",
    )


def _before(tuned: TuningResult, effect: RuleEffect) -> Limits:
    before = tuned.rule_before(effect)
    return before.limits if before else ()


def _histogram(drawn: Bars, name: str, words: str) -> alt.LayerChart:
    import altair as alt

    values: list[dict[str, Any]] = [
        {
            "from": float(drawn.edges[i]),
            "to": float(drawn.edges[i + 1]),
            "documents": int(count),
            "part": part,
        }
        for part, counts in (("kept", drawn.kept), ("removed", drawn.removed))
        for i, count in enumerate(counts)
        if count
    ]
    lines = [{"limit": cut, "dash": "now"} for cut in drawn.cuts]
    lines += [{"limit": cut, "dash": "before"} for cut in drawn.old_cuts]
    ends = [float(drawn.edges[0]), float(drawn.edges[-1])]
    top = int(max(drawn.kept.max(), drawn.removed.max()))
    ticks = [0, *(10**n for n in range(len(str(top))))]
    across = alt.X(
        "from:Q",
        bin="binned",
        title=None,
        scale=alt.Scale(type="log" if drawn.is_log else "linear", domain=ends, nice=False),
        axis=alt.Axis(tickCount=4, grid=False, format=",~r"),
    )
    up = alt.Y(
        "documents:Q",
        title=None,
        stack=False,
        scale=alt.Scale(type="symlog", domain=[0, top]),
        axis=alt.Axis(values=ticks, format=",~r", minExtent=40, labelOverlap=True),
    )
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=["kept", "removed"], range=[ACCENT, REMOVED]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(alt.Data(values=[*values, *lines]))
    shown = (
        base.transform_filter("isValid(datum.documents)")
        .mark_bar(binSpacing=0.3)
        .encode(x=across, x2="to:Q", y=up, color=color)
    )
    dash = alt.Scale(domain=["now", "before"], range=[[1, 0], [4, 3]])
    rules = (
        base.transform_filter("isValid(datum.limit)")
        .mark_rule(strokeWidth=1.5)
        .encode(x="limit:Q", strokeDash=alt.StrokeDash("dash:N", legend=None, scale=dash))
    )
    title = alt.TitleParams(name, subtitle=words, subtitleColor=MUTED, fontSize=12, offset=8)
    return (shown + rules).properties(width=248, height=110, title=title)


def overlap(rules: Sequence[RuleEffect]) -> Chart | None:
    """Which rules are broken by the same documents, of those that are broken most."""
    import altair as alt

    by_reason: dict[tuple[str, str], BoolArray] = {}
    for effect in rules:  # several rules may give one reason, such as the limits of a range
        key = (effect.step, effect.rule.reason)
        by_reason[key] = effect.broken | by_reason.get(key, np.zeros_like(effect.broken))
    counts = {key: int(broken.sum()) for key, broken in by_reason.items()}
    shown = sorted((k for k, n in counts.items() if n), key=lambda k: -counts[k])[:RULES_IN_OVERLAP]
    if len(shown) < 2:
        return None
    several = len({step for step, _ in shown}) > 1
    names = [f"{step}: {reason}" if several else reason for step, reason in shown]
    cells: list[dict[str, Any]] = [
        {"row": row, "column": column, "documents": both, "share": both / counts[one]}
        for row, one in zip(names, shown, strict=True)
        for column, other in zip(names, shown, strict=True)
        if (both := int((by_reason[one] & by_reason[other]).sum()))
    ]
    axis = alt.Axis(labelLimit=300, labelAngle=-55, orient="top")
    base = alt.Chart(alt.Data(values=cells)).encode(
        x=alt.X("column:N", title=None, sort=names, axis=axis),
        y=alt.Y("row:N", title=None, sort=names, axis=alt.Axis(labelLimit=300)),
    )
    color = alt.Color("share:Q", scale=alt.Scale(domain=[0, 1]), legend=None)
    dark = alt.condition("datum.share > 0.55", alt.value("white"), alt.value("#1c2127"))
    side = min(34.0, 520 / len(shown))
    drawn = base.mark_rect().encode(color=color) + base.mark_text(fontSize=9).encode(
        text=alt.Text("documents:Q", format=",.3~s"), color=dark
    )
    pairs = [cell for cell in cells if cell["row"] != cell["column"]]
    if pairs:
        most = max(pairs, key=lambda cell: cell["share"])
        largest = (
            f"{most['share']:.0%} of the documents that break {most['row']} break "
            f"{most['column']} too"
        )
    else:
        largest = "no document breaks two of them"
    return Chart(
        title="Rules that are broken by the same documents",
        spec=drawn.properties(width=side * len(shown), height=side * len(shown)).to_dict(),
        alt=f"Matrix of rules. Largest overlap: {largest}.",
        note="Documents that break both rules; the darker, the larger their share of those that "
        "break the rule of the row. The diagonal holds all that break the rule.",
    )
