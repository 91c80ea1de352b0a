"""Figures with intervals as text, and charts of scores and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from winnow import Chart

Cell = str | int | float | None


def decimal(value: float | None, digits: int = 3) -> str | None:
    """A figure with a fixed number of decimals and a true minus; None stays None."""
    # Adding nothing makes a zero of what rounds to a negative one.
    return None if value is None else f"{round(value, digits) + 0:.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 3) -> str | None:
    """``low to high`` on one line; None where there is no interval."""
    if low is None or high is None:
        return None
    return f"{decimal(low, digits)}\u00a0to\u00a0{decimal(high, digits)}"


def estimate_cells(estimate: Mapping[str, Any], digits: int = 3) -> list[Cell]:
    """Value, interval and number of documents of an ``Estimate`` as JSON.

    Where a figure is not defined, the reason stands in place of the interval.
    """
    between = interval(estimate["low"], estimate["high"], digits)
    return [decimal(estimate["value"], digits), between or estimate.get("why"), estimate["n"]]


def calibration_chart(
    title: str,
    entries: Sequence[Mapping[str, Any]],
    domain: tuple[float, float],
    titles: tuple[str, str],
    note: str = "",
) -> Chart:
    """Mean truth against mean prediction, a point per bin of ``metrics.calibration``.

    ``domain`` is the scale of both axes and ``titles`` what they show (prediction, truth). Points
    on the dashed line are calibrated.
    """
    low, high = domain
    scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("predicted:Q", title=titles[0], scale=scale)
    y = alt.Y("truth:Q", title=titles[1], scale=scale)
    ends = alt.Data(values=[{"predicted": end, "truth": end} for end in (low, high)])
    base = alt.Chart(alt.Data(values=[dict(entry) for entry in entries])).encode(x=x, y=y)
    drawn = alt.layer(
        alt.Chart(ends).mark_line(strokeWidth=1, strokeDash=[4, 3], opacity=0.6).encode(x=x, y=y),
        base.mark_line(opacity=0.5),
        base.mark_point(filled=True, opacity=1).encode(
            size=alt.Size(
                "n:Q",
                title="documents",
                scale=alt.Scale(range=[30, 400], zero=True),
                legend=alt.Legend(tickCount=3),
            )
        ),
    )
    words = "; ".join(
        f"{decimal(entry['predicted'], 2)} predicted, {decimal(entry['truth'], 2)} true "
        f"({entry['n']:,} documents)"
        for entry in entries
    )
    spec = drawn.properties(width=320, height=320).to_dict()
    return Chart(title, spec, f"{title}: {words or 'no documents'}.", note)


SHOWN = 12  # sources that are drawn; tables have them all
Metrics = Mapping[str, Any]


def spread_chart(title: str, spread: Metrics) -> Chart:
    """Shares of labels per source: small histograms on a scale, bars of categories."""
    names = [name for name, counts in spread["sources"].items() if any(counts)][:SHOWN]
    rows = [
        {
            "source": name,
            "label": label,
            "share": count / sum(spread["sources"][name]),
            "order": number,
            **({"to": label + spread["width"]} if "width" in spread else {}),
        }
        for name in names
        for number, (label, count) in enumerate(
            zip(spread["bins"], spread["sources"][name], strict=True)
        )
    ]
    spec = _histograms(rows, names) if "width" in spread else _bars(rows)
    words = "; ".join(f"{name}: {_most(spread, name)}" for name in names)
    return Chart(title, spec, f"{title}. {words or 'No labels'}.")


def _histograms(rows: Sequence[Metrics], names: Sequence[str]) -> dict[str, Any]:
    chart = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("label:Q", bin="binned", title=None, axis=alt.Axis(grid=False, tickCount=6)),
            x2="to:Q",
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=3)),
        )
        .properties(width=190, height=90)
        .facet(facet=alt.Facet("source:N", title=None, sort=list(names)), columns=3)
    )
    return dict(chart.to_dict())


def _bars(rows: Sequence[Metrics]) -> dict[str, Any]:
    many = len({row["label"] for row in rows}) > 8
    scale = alt.Scale(scheme="tableau20") if many else alt.Undefined
    chart = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar()
        .encode(
            y=alt.Y("source:N", sort=None, title=None),
            x=alt.X("share:Q", title="share of documents", axis=alt.Axis(format="%")),
            color=alt.Color("label:N", sort=None, title="category", scale=scale),
            order=alt.Order("order:Q"),
        )
    )
    return dict(chart.to_dict())


def _most(spread: Metrics, name: str) -> str:
    """The most frequent label of a source in words."""
    counts = spread["sources"][name]
    top = max(range(len(counts)), key=lambda index: counts[index])
    label = spread["bins"][top]
    named = f"{label:g} to {label + spread['width']:g}" if "width" in spread else label
    return f"most often {named} ({counts[top]:,} of {sum(counts):,})"


def means_chart(title: str, means: Mapping[str, Metrics], domain: tuple[float, float]) -> Chart:
    """Mean score of each source with its interval."""
    rows = [
        {"source": name, "mean": mean["value"], "low": mean["low"], "high": mean["high"]}
        for name, mean in list(means.items())[:SHOWN]
        if mean["low"] is not None
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("source:N", title=None, sort=None),
    )
    scale = alt.Scale(domain=list(domain), nice=False)
    drawn = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title="mean score", scale=scale), x2="high:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("mean:Q", scale=scale)),
    )
    words = "; ".join(
        f"{row['source']} {decimal(row['mean'], 2)} ({interval(row['low'], row['high'], 2)})"
        for row in rows
    )
    spec = drawn.properties(height=alt.Step(22)).to_dict()
    return Chart(title, dict(spec), f"{title}: {words or 'no documents'}.")


def confusion_chart(title: str, confusion: Metrics, note: str) -> Chart:
    """Gold labels in rows, the judge's in columns, documents as numbers on a heat map."""
    labels = confusion["labels"]
    cells = [
        {"gold": truth, "given": given, "n": count, "share": count / max(1, sum(row))}
        for truth, row in zip(labels, confusion["counts"], strict=True)
        for given, count in zip(labels, row, strict=True)
    ]
    angle = 0 if max(map(len, labels)) <= 3 else -40
    base = alt.Chart(alt.Data(values=cells)).encode(
        x=alt.X("given:N", sort=labels, title="given", axis=alt.Axis(labelAngle=angle)),
        y=alt.Y("gold:N", sort=labels, title="gold"),
    )
    drawn = alt.layer(
        base.mark_rect().encode(
            color=alt.Color(
                "share:Q",
                title="share of the row",
                scale=alt.Scale(domain=[0, 1], range=["#f2f5f9", "#8aa8cf"]),
                legend=alt.Legend(format="%", tickCount=3),
            )
        ),
        base.transform_filter("datum.n > 0").mark_text().encode(text="n:Q"),
    )
    size = alt.Step(44 if len(labels) <= 10 else 26)
    same = sum(row[index] for index, row in enumerate(confusion["counts"]))
    total = sum(map(sum, confusion["counts"]))
    spec = drawn.properties(width=size, height=alt.Step(30)).to_dict()
    return Chart(title, dict(spec), f"{title}: {same:,} of {total:,} on the diagonal.", note)
