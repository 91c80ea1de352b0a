"""What a report is made of. Steps and extensions describe blocks; only the report draws them.

A plug-in returns ``ReportSection`` objects from ``report_sections``; each holds blocks, which the
report shows one below the other:

========== =========================================================================
Prose      paragraphs of text, in a coloured box with a ``tone``
Table      rows and columns; numbers of a column share their decimals
Chart      a Vega-Lite specification, drawn as SVG on this machine
Samples    documents (or their beginnings) as cards
Code       text in a fixed-width font, line for line: a configuration, a log
========== =========================================================================

Every string is untrusted: the report escapes it and writes out characters that cannot be seen.
Nothing here imports a drawing library, so that a step may import blocks at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["", "better", "worse", "undecided", "warning", "failed"]
"""How something is meant, which colours it: the outcome of a comparison (``better``, ``worse``,
``undecided``), something that a reader should know before relying on the figures (``warning``),
or something that did not happen (``failed``). "" is neutral."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs of plain text, parted by empty lines. Names between backticks are set as code."""

    text: str
    title: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Table:
    """``rows`` [rows][columns] hold str, int, float or None (shown as —).

    ``tones`` [≤ rows] colours a row; its word is added to the row where no cell says it, so that
    the tone is not a matter of colour alone. ``note`` is a sentence below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]
    note: str = ""
    tones: Sequence[Tone] = ()


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification (version 5 or 6) with its data inline.

    ``alt`` says in words what the chart shows, for readers who cannot see it. The report supplies
    colours, fonts and sizes. A specification whose data are elsewhere, or that is not valid, stops
    the report with WinnowError ``chart-failed``.
    """

    title: str
    spec: Mapping[str, Any]
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Sample:
    """One document, or the beginning of one. ``heading`` is its id, ``notes`` what was measured:
    name → value, both as they are to be shown."""

    heading: str
    text: str
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Samples:
    """Documents as cards, under a title of their own."""

    title: str
    items: Sequence[Sample]


@dataclass(frozen=True)
class Code:
    """Text shown line for line in a fixed-width font. It is not coloured by its language."""

    title: str
    text: str
    note: str = ""


Block = Prose | Table | Chart | Samples | Code


@dataclass(frozen=True)
class ReportSection:
    """A headed part of the report, with an entry in its contents.

    ``anchor`` is its id in the page; letters, digits and hyphens are kept, and one that is taken
    already gets a number. ``lead`` is the text below the heading, in paragraphs as in ``Prose``.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""
