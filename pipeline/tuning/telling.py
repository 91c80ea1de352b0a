"""``winnow tune`` as people and programs see it: lines and tables, JSON, the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from pipeline.engine.commit import write_atomically
from pipeline.errors import Refusal
from pipeline.manifest.saving import write_values
from pipeline.report.blocks import Table
from pipeline.report.format import column, is_numeric, visible
from pipeline.tuning import plain, tables
from pipeline.tuning.page import PAGE, write_page
from pipeline.tuning.tuning import Tuned


def tell(tuned: Tuned, html: Path | None = None) -> Iterator[str | RichTable]:
    """What a terminal shows, in order. Writes the page, to ``html`` or beside the run."""
    for line in plain.notes(tuned):
        yield visible(line)
    for table in tables.tables(tuned):
        yield ""
        yield rich_table(table)
    if lines := list(plain.nearest(tuned)):
        yield ""
        yield from lines
    yield ""
    yield f"page: {write_html(tuned, html)}"


def tell_json(tuned: Tuned, html: Path | None = None) -> dict[str, Any]:
    """What programs get. Writes the page only when ``html`` is given."""
    if html is not None:
        write_html(tuned, html)
    return plain.as_json(tuned)


def write_html(tuned: Tuned, html: Path | None = None) -> Path:
    """Write the page; where it is. Raises Refusal when that cannot be written to."""
    path = html or tuned.manifest.output / PAGE
    page = write_page(tuned)
    try:
        write_atomically(path, page)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Refusal("page-not-writable", message, "name another file with --html") from error
    return path


def write_into(path: Path, overrides: Sequence[str]) -> Iterator[str]:
    """Write the overrides into the manifest; the lines that changed."""
    changed = write_values(path, overrides)
    yield f"{path}: {'written' if changed else 'said so already'}"
    for before, after in changed:
        for sign, line in (("-", before), ("+", after)):
            if line:
                yield f"{sign} {visible(line)}"


def rich_table(table: Table) -> RichTable:
    """A table as a terminal shows it."""
    shown = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False)
    texts = [column(values) for values in zip(*table.rows, strict=True)]
    for name, cells in zip(table.columns, texts or [[] for _ in table.columns], strict=True):
        said = [cell for cell in cells if cell]
        numeric = bool(said) and all(map(is_numeric, said)) and name != "Stays"
        shown.add_column(name, justify="right" if numeric else "left")
    for row in zip(*texts, strict=True):
        shown.add_row(*map(visible, row))
    return shown
