"""The output of ``winnow tune``: lines and tables for a terminal, JSON for programs, the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table as RichTable

from pipeline.documents import BoolArray
from pipeline.engine.commit import write_atomically
from pipeline.errors import Refusal
from pipeline.manifest.saving import write_values
from pipeline.report.blocks import Table
from pipeline.report.format import column, formatted, is_numeric, visible
from pipeline.tuning import effect_tables
from pipeline.tuning.effects import (
    Boundary,
    FilterEffect,
    RuleEffect,
    TuningResult,
    boundaries,
    boundaries_of_filter,
    documents_at,
    exact,
)
from pipeline.tuning.signals import TEXT_BYTES
from pipeline.tuning.tuning_page import tuning_page

PAGE: Final = "tune.html"
PER_SIDE: Final = 2
LINE_CHARACTERS: Final = 80

Json = dict[str, Any]


def terminal_output(tuned: TuningResult, html: Path | None = None) -> Iterator[str | RichTable]:
    """What a terminal shows, in order. Writes the page, to ``html`` or beside the run."""
    for line in notes(tuned):
        yield visible(line)
    for table in effect_tables.tables(tuned):
        yield ""
        yield rich_table(table)
    if lines := list(nearest(tuned)):
        yield ""
        yield from lines
    yield ""
    yield f"page: {write_html(tuned, html)}"


def json_output(tuned: TuningResult, html: Path | None = None) -> Json:
    """What programs get. Writes the page only when ``html`` is given."""
    if html is not None:
        write_html(tuned, html)
    return as_json(tuned)


def write_html(tuned: TuningResult, html: Path | None = None) -> Path:
    """Write the page; where it is. Raises Refusal when that cannot be written to."""
    path = html or tuned.manifest.output / PAGE
    page = tuning_page(tuned)
    try:
        write_atomically(path, page)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Refusal("page-not-writable", message, "name another file with --html") from error
    return path


def write_overrides(path: Path, overrides: Sequence[str]) -> Iterator[str]:
    """Write the overrides into the manifest; the lines that changed."""
    changed = write_values(path, overrides)
    yield f"{path}: {'written' if changed else 'nothing to write, it has these values'}"
    for before, after in changed:
        for sign, line in (("-", before), ("+", after)):
            if line:
                yield f"{sign} {visible(line)}"


def rich_table(table: Table) -> RichTable:
    """A table as a terminal shows it."""
    shown = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False)
    texts = [column(values) for values in zip(*table.rows, strict=True)]
    for name, cells in zip(table.columns, texts or [[] for _ in table.columns], strict=True):
        filled = [cell for cell in cells if cell]
        numeric = bool(filled) and all(map(is_numeric, filled)) and name != "Stays"
        shown.add_column(name, justify="right" if numeric else "left")
    for row in zip(*texts, strict=True):
        shown.add_row(*map(visible, row))
    return shown


def as_json(tuned: TuningResult) -> Json:
    """Everything found, for programs. Sizes are bytes of UTF-8."""
    before = tuned.before
    return {
        "schema_version": 1,
        "manifest": str(tuned.manifest.path),
        "changes": list(tuned.changes),
        "documents": _count_json(tuned, tuned.now.removers >= 0),
        "kept": _count_json(tuned, tuned.now.kept),
        "kept_before": _count_json(tuned, before.kept) if before else None,
        "gained": _count_json(tuned, tuned.now.kept & ~before.kept) if before else None,
        "lost": _count_json(tuned, before.kept & ~tuned.now.kept) if before else None,
        "skipped": list(tuned.skipped),
        "not_measured": list(tuned.left_out),
        "filters": [_filter(tuned, found, dropped) for found, dropped in tuned.now.in_order()],
        "overlap": [
            [int((one.removed & other.removed).sum()) for other in tuned.now.filters]
            for one in tuned.now.filters
        ],
    }


def _filter(tuned: TuningResult, found: FilterEffect, dropped: BoolArray) -> Json:
    by_rule: dict[tuple[str, str, str, str], list[Json]] = {}
    for boundary in boundaries_of_filter(tuned, found, PER_SIDE):
        by_rule.setdefault(boundary.effect.key, []).append(_boundary(tuned, boundary))
    return {
        "step": found.label,
        "has_thresholds": found.has_thresholds,
        "removes": _count_json(tuned, found.removed),
        "alone": _count_json(tuned, tuned.now.alone(found)),
        "in_order": _count_json(tuned, dropped),
        "rules": [_rule(tuned, r) | {"nearest": by_rule.get(r.key, [])} for r in found.rules],
    }


def _rule(tuned: TuningResult, effect: RuleEffect) -> Json:
    rule, before = effect.rule, tuned.rule_before(effect)
    return {
        "reason": rule.reason,
        "signal": rule.signal or None,
        "parameter": rule.parameter or None,
        "least": rule.least,
        "most": rule.most,
        "removes": _count_json(tuned, effect.broken),
        "removed_before": int(before.broken.sum()) if before else None,
        "alone": _count_json(tuned, tuned.now.alone_for(effect)),
    }


def _count_json(tuned: TuningResult, chosen: BoolArray) -> Json:
    sources = tuned.stored.by_source(chosen)
    return {
        **tuned.stored.count(chosen).model_dump(),
        "by_source": {name: count.model_dump() for name, count in sources.items()},
    }


def _boundary(tuned: TuningResult, boundary: Boundary) -> Json:
    names = ("id", "source", "_source", "_offset", TEXT_BYTES, "text")
    sides = {
        side: [
            {"value": row[boundary.effect.signal], **{name: row[name] for name in names}}
            for row in documents_at(tuned.stored, rows)
        ]
        for side, rows in (("removed", boundary.removed), ("kept", boundary.kept))
    }
    return {"keeps": boundary.sign, "limit": boundary.limit, **sides}


def notes(tuned: TuningResult) -> Iterator[str]:
    """What is compared with what, before the tables."""
    yield from tuned.changes
    yield effect_tables.headline(tuned)
    if tuned.changes and tuned.before is None:
        yield "the overrides change what is measured: nothing to compare with"
    if tuned.skipped:
        yield f"without {', '.join(tuned.skipped)}, which need all documents at once"
    if tuned.left_out:
        yield f"without {', '.join(tuned.left_out)}, which need what those add"


def nearest(tuned: TuningResult) -> Iterator[str]:
    """Documents on both sides of the limits that the overrides move, a line for each."""
    for effect in filter(tuned.is_changed, tuned.now.rules()):
        for boundary in boundaries(tuned.stored, effect, PER_SIDE):
            limit = f"{effect.signal} {boundary.sign} {formatted(boundary.limit)}"
            yield f"nearest to {limit}:"
            for side, rows in (("removed", boundary.removed), ("kept", boundary.kept)):
                for row in documents_at(tuned.stored, rows):
                    text = visible(" ".join(row["text"].split()))[:LINE_CHARACTERS]
                    value = exact(row[effect.signal])
                    yield f"  {side:<7}  {value:>9}  {visible(row['id'])}  {text}"
