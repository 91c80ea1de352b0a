"""Blocks that any report of scores needs: figures with intervals, and calibration."""

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
