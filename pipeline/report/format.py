"""Numbers and hostile text, made readable. Used by the report and safe for terminals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

NOTHING: Final = "—"
_NBSP: Final = "\u00a0"
_MINUS: Final = "−"

# Cc except tab and newline; Arabic letter mark; zero-width space; left-to-right, right-to-left
# and the bidi embeddings and isolates; line and paragraph separator; word joiner and other
# invisible operators; surrogates; BOM; interlinear annotation; invisible "tag" letters, which can
# carry text that no reader sees. Zero-width (non-)joiners stay: real scripts need them.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NUMERIC: Final = re.compile(
    r"[<>≈~±+\-−]?\s?[\d(\[][\d.,\s+\-−–±×·⁻⁰¹²³⁴-⁹%/()\[\];:]*\s?(%|[A-Za-zµ]{1,3}(/s)?)?[)\]]?"
)


def visible(text: str) -> str:
    """``text`` with every invisible or reordering character written out (NUL as U+0000).

    Tabs and newlines stay; CRLF becomes LF. The result can be encoded as UTF-8 and printed.
    """
    return _INVISIBLE.sub(lambda match: _name(match.group()), text.replace("\r\n", "\n"))


def split_invisible(text: str) -> list[tuple[str, bool]]:
    """(piece, was invisible) in order; joined, the pieces are ``visible(text)``."""
    text = text.replace("\r\n", "\n")
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in _INVISIBLE.finditer(text):
        if match.start() > end:
            pieces.append((text[end : match.start()], False))
        pieces.append((_name(match.group()), True))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], False))
    return pieces


def size(count: float) -> str:
    """Bytes in decimal units with one digit after the point: ``11.2 MB``."""
    value, unit = float(count), "B"
    for bigger in ("kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 999.95:
            break
        value, unit = value / 1000, bigger
    return f"{value:,.0f}{_NBSP}B" if unit == "B" else f"{value:,.1f}{_NBSP}{unit}"


def share(part: float, whole: float) -> str:
    """``part / whole`` in percent, never rounded to nothing or to all; "—" of nothing."""
    if whole <= 0:
        return NOTHING
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return f"<{_NBSP}0.1{_NBSP}%"
    if 99.95 <= percent < 100:
        return f">{_NBSP}99.9{_NBSP}%"
    return f"{percent:.1f}{_NBSP}%"


def signed(count: int) -> str:
    """A difference with its sign: ``+12``, ``−1,024``, ``0``."""
    return f"{count:+,}".replace("-", _MINUS) if count else "0"


def number(value: int | float | None) -> str:
    """One number: whole ones in full, others with four significant digits."""
    return column([value])[0]


def column(values: Sequence[str | int | float | None]) -> list[str]:
    """Cells of one table column. Floats share a number of decimals, by the largest: four below
    ten, fewer above, more below a tenth, less the zeros that all of them end in. Where that would
    hide a small one beside a large one, each stands for itself. Strings stay."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v) and v]
    largest = max(sizes, default=0.0)
    if 0 < largest < 1e-4:
        return [_power(v) if isinstance(v, float) else _cell(v, 0) for v in values]
    magnitude = math.floor(math.log10(largest)) if largest else 0
    decimals = 4 if magnitude in (0, -1) else max(0, 3 - magnitude)
    if len(sizes) > 1 and magnitude > 0 and min(sizes) < 10.0 ** (1 - decimals):
        return [column([value])[0] for value in values]  # of different kinds: no common measure
    vanishes = bool(sizes) and min(sizes) < 10.0**-decimals
    while decimals and not vanishes and all(f"{v:.{decimals}f}".endswith("0") for v in sizes):
        decimals -= 1
    return [_cell(value, decimals) for value in values]


def formatted(value: Any) -> str:
    """A JSON value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return number(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def is_numeric(cell: str) -> bool:
    """Whether a reader would take ``cell`` for a number (with a unit, or an interval)."""
    return _NUMERIC.fullmatch(cell) is not None


def _name(character: str) -> str:
    # Not the control pictures (␀): few fonts have them.
    return f"U+{ord(character):04X}"


def _cell(value: str | int | float | None, decimals: int) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{_MINUS if value < 0 else ''}∞"
    if isinstance(value, int):
        return f"{value:,d}".replace("-", _MINUS)
    text = f"{value:,.{decimals}f}".replace("-", _MINUS)
    if text.strip(f"{_MINUS}0.") == "":  # zero, or rounded to it
        text = f"{10.0**-decimals if value else 0:.{decimals}f}"
        bound = "" if not value else f"<{_NBSP}" if value > 0 else f">{_NBSP}{_MINUS}"
        return bound + text
    return text


def _power(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return _cell(value, 0)
    digits, exponent = f"{value:.3e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    trimmed = digits.rstrip("0").rstrip(".").replace("-", _MINUS)
    return f"{trimmed}{_NBSP}×{_NBSP}10{raised}"
