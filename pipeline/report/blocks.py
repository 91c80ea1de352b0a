"""What a report is made of. Steps and extensions describe blocks; only the report draws them.

Every string is untrusted: the report escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Prose:
    """Paragraphs of plain text."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """``rows`` hold str, int, float or None; ``tones`` colours a row ("better", "worse", ...)."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]
    note: str = ""
    tones: Sequence[Literal["", "better", "worse", "undecided"]] = ()


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification with its data inline; ``alt`` says in words what it shows."""

    title: str
    spec: Mapping[str, Any]
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Sample:
    """One document (or the beginning of one) with what was said of it."""

    heading: str
    text: str
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Samples:
    title: str
    items: Sequence[Sample]


Block = Prose | Table | Chart | Samples


@dataclass(frozen=True)
class ReportSection:
    """A headed part of the report; ``anchor`` is its id in the page."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""
