"""Documents on both sides of a limit: the nearest that stay and the nearest that go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.documents import BoolArray
from pipeline.tuning.stored import Measurements
from pipeline.tuning.tuning import Filter, Ruling, Tuned

RULINGS_SHOWN: Final = 6
# An odd multiplier spreads neighbouring rows, so that ties do not all come from one source.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Border:
    """One limit of a rule (``sign`` is that of what stays) and the documents nearest to it, as
    rows, the nearest first."""

    ruling: Ruling
    sign: str
    limit: float
    removed: tuple[int, ...]
    kept: tuple[int, ...]


def borders(stored: Measurements, ruling: Ruling, count: int) -> list[Border]:
    """For each limit of the rule, up to ``count`` documents on either side; none without one."""
    found = []
    for sign, limit in ruling.limits:
        values = stored.signals[ruling.signal]
        beyond = values < limit if sign == "≥" else values > limit
        within = ~beyond & ~np.isnan(values)
        away = np.abs(values - limit)
        sides = [tuple(_least(away, side, count)) for side in (beyond, within)]
        found.append(Border(ruling, sign, limit, *sides))
    return found


def of_filter(tuned: Tuned, found: Filter, count: int) -> list[Border]:
    """Borders of the rules that are worth a look: those changed, then those most often broken."""
    rulings = [r for r in found.rulings if r.limits and (r.broken.any() or tuned.is_changed(r))]
    rulings.sort(key=lambda ruling: (not tuned.is_changed(ruling), -int(ruling.broken.sum())))
    shown = rulings[:RULINGS_SHOWN]
    return [border for ruling in shown for border in borders(tuned.stored, ruling, count)]


def turned(tuned: Tuned, count: int) -> tuple[list[int], list[int]]:
    """Rows that the overrides keep and that they remove, other than the manifest as written."""
    if tuned.before is None:
        return [], []
    gained = tuned.now.kept & ~tuned.before.kept
    lost = ~tuned.now.kept & tuned.before.kept
    equal = np.zeros(len(tuned.stored))
    return _least(equal, gained, count), _least(equal, lost, count)


def fetched(stored: Measurements, rows: Sequence[int]) -> list[dict[str, Any]]:
    """What is stored of these documents, in the order of ``rows``."""
    found = stored.documents(rows)
    return [found[row] for row in rows]


def value(number: float) -> str:
    """What was measured, with digits enough to tell it from a limit nearby."""
    return f"{number:,.0f}" if number.is_integer() else f"{number:.6g}"


def _least(values: npt.NDArray[np.float64], among: BoolArray, count: int) -> list[int]:
    """Up to ``count`` rows ``among`` which ``values`` are smallest; ties by a spread of rows."""
    rows = np.flatnonzero(among)
    if len(rows) > count:
        near = values[rows] <= np.partition(values[rows], count - 1)[count - 1]
        rows = rows[near]
    order = np.lexsort((rows.astype(np.uint64) * _SPREAD, values[rows]))
    return [int(row) for row in rows[order][:count]]
