"""Sections rendered into one self-contained HTML page, for the screen and for paper.

The page holds no script and refers to nothing outside itself; a content security policy says so to
the browser. Every string that comes in is escaped, and characters that hide or reorder text are
written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from pipeline.report import charts
from pipeline.report.blocks import Block, Chart, Code, Prose, ReportSection, Samples, Table, Tone
from pipeline.report.format import NOTHING, column, is_numeric, number, split_invisible, visible

if TYPE_CHECKING:
    from jinja2 import Template

# Tones stay apart without colour: a sign and the word itself.
SIGNS: Final[Mapping[str, str]] = {
    "better": "▲",
    "worse": "▼",
    "undecided": "◆",
    "warning": "!",
    "failed": "×",
}
# A longer word may break anywhere, so that it cannot push its table off the page.
_LONG_WORD: Final = re.compile(r"\S{28}")


@dataclass(frozen=True)
class Page:
    """All of a report. ``headline`` is the verdict in one sentence, ``tone`` its colour;
    ``warnings`` stand below it, one paragraph each; ``metrics`` are (label, value) pairs."""

    title: str
    subtitle: str
    metrics: Sequence[tuple[str, str | int | float]]
    headline: str
    sections: Sequence[ReportSection]
    tone: Tone = ""
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Cell:
    text: str
    kind: str  # CSS classes: "number", "long", a tone, or none of them
    heads: bool = False  # names its row
    sign: str = ""
    flag: Tone = ""  # written after the text where no cell of the row holds it


def render(page: Page) -> str:
    """The report as HTML. Equal pages give equal text.

    Raises WinnowError when a chart cannot be drawn.
    """
    metrics = [
        (label, value if isinstance(value, str) else number(value)) for label, value in page.metrics
    ]
    return _template().render(
        page=page,
        metrics=metrics,
        sign=SIGNS[page.tone] if page.tone else "",
        sections=[
            {"anchor": anchor, "title": section.title, "lead": section.lead, "blocks": blocks}
            for anchor, section, blocks in zip(
                _anchors(page.sections), page.sections, _blocks(page.sections), strict=True
            )
        ],
        signs=SIGNS,
        css=Markup((Path(__file__).parent / "report.css").read_text(encoding="utf-8")),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # when a page is made

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["safe_text"] = safe_text
    environment.filters["named"] = named
    environment.filters["paragraphs"] = _paragraphs
    environment.filters["long"] = lambda text: _LONG_WORD.search(text) is not None
    environment.filters["visible"] = visible
    return environment.get_template("report.html.j2")


def named(text: object) -> Markup:
    """``text`` made safe, with what stands between backticks set as a name."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without a partner is only a backtick
        return safe_text(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(safe_text(part)) if number % 2 else safe_text(part)
        for number, part in enumerate(parts)
    )


def safe_text(text: object) -> Markup:
    """``text`` escaped, what is invisible in it marked and written out."""
    return Markup("").join(
        Markup('<span class="invisible">{}</span>').format(piece) if hidden else escape(piece)
        for piece, hidden in split_invisible(str(text))
    )


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _anchors(sections: Iterable[ReportSection]) -> list[str]:
    """An id per section: letters, digits and hyphens, each once."""
    taken: dict[str, int] = {}
    anchors = []
    for section in sections:
        anchor = re.sub(r"[^a-z0-9]+", "-", section.anchor.lower()).strip("-") or "section"
        taken[anchor] = taken.get(anchor, 0) + 1
        anchors.append(anchor if taken[anchor] == 1 else f"{anchor}-{taken[anchor]}")
    return anchors


def _blocks(sections: Sequence[ReportSection]) -> list[list[dict[str, Any]]]:
    """Blocks of each section as the template reads them; figures and tables are counted through
    the page."""
    counters = {"figure": 0, "table": 0}
    return [[_block(block, counters) for block in section.blocks] for section in sections]


def _block(block: Block, counters: dict[str, int]) -> dict[str, Any]:
    match block:
        case Prose():
            return {"kind": "prose", "block": block}
        case Samples():
            return {"kind": "samples", "block": block}
        case Code():
            return {"kind": "code", "block": block}
        case Chart():
            counters["figure"] += 1
            count = counters["figure"]
            drawing = Markup(charts.svg(block.spec, block.alt, f"figure-{count}-"))
            return {"kind": "chart", "block": block, "number": count, "svg": drawing}
        case Table():
            counters["table"] += 1
            numeric, rows = _cells(block)
            return {
                "kind": "table",
                "block": block,
                "number": counters["table"],
                "heads": list(zip(block.columns, numeric, strict=True)),
                "rows": rows,
                "dense": len(block.columns) > 9,
            }


def _cells(table: Table) -> tuple[list[bool], list[tuple[Tone, list[Cell]]]]:
    """Which columns hold numbers, and the rows as (tone, cells)."""
    columns = [list(values) for values in zip(*table.rows, strict=True)] or [
        [] for _ in table.columns
    ]
    texts = [column(values) for values in columns]
    numeric = [_is_numeric(values, text) for values, text in zip(columns, texts, strict=True)]
    tones: list[Tone] = [*table.tones]
    tones += [""] * (len(table.rows) - len(tones))
    if unknown := {tone for tone in tones if tone} - SIGNS.keys():
        raise ValueError(f"{table.title}: tones are {', '.join(SIGNS)}, not {sorted(unknown)}")
    rows: list[tuple[Tone, list[Cell]]] = []
    for tone, row in zip(tones, zip(*texts, strict=True), strict=True):
        shown = tone in (cell.strip().lower() for cell in row)
        cells = []
        for index, text in enumerate(row):
            says_tone = bool(tone) and text.strip().lower() == tone
            kind = "number" if numeric[index] else "long" if _LONG_WORD.search(text) else ""
            heads = index == 0 and not numeric[0]
            cells.append(
                Cell(
                    text=text,
                    kind=f"{kind} tone-{tone}".strip() if says_tone else kind,
                    heads=heads,
                    sign=SIGNS[tone] if says_tone else "",
                    flag=tone if index == 0 and not shown else "",
                )
            )
        rows.append((tone, cells))
    return numeric, rows


def _is_numeric(values: Sequence[str | int | float | None], texts: Sequence[str]) -> bool:
    filled = [text for value, text in zip(values, texts, strict=True) if text not in ("", NOTHING)]
    return bool(filled) and all(map(is_numeric, filled))
