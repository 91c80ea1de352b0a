"""What tuning found as one page, in the look of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from pipeline.report.blocks import Block, ReportSection, Sample, Samples
from pipeline.report.excerpts import excerpt
from pipeline.report.format import said, share, size
from pipeline.report.page import Page, render
from pipeline.tuning import drawing, samples, tables
from pipeline.tuning.samples import Border
from pipeline.tuning.signals import TEXT_BYTES
from pipeline.tuning.tuning import Filter, Tuned

PAGE: Final = "tune.html"
PER_SIDE: Final = 2
TURNED: Final = 6


def write_page(tuned: Tuned) -> str:
    """The page as HTML. Raises WinnowError when a chart cannot be drawn."""
    kept = tuned.stored.tally(tuned.now.kept)
    text = int(tuned.stored.sizes.sum())
    return render(
        Page(
            title=f"{tuned.manifest.name}: thresholds",
            subtitle=f"{tuned.manifest.path} · winnow {version('winnow')}",
            metrics=[
                ("documents measured", len(tuned.stored)),
                ("their text", size(text)),
                ("documents kept", kept.documents),
                ("share of the text kept", share(kept.bytes, text)),
            ],
            headline=_headline(tuned),
            sections=list(_sections(tuned)),
        )
    )


def _headline(tuned: Tuned) -> str:
    if not tuned.changes:
        return tables.headline(tuned)
    return f"With {', '.join(f'`{c}`' for c in tuned.changes)}: {tables.headline(tuned)}."


def _sections(tuned: Tuned) -> Iterator[ReportSection]:
    if not len(tuned.stored):
        yield ReportSection("filters", "Filters", [], "No document is measured.")
        return
    blocks: list[Block] = [tables.filters(tuned)]
    if len(tuned.now.filters) > 1:
        blocks.append(tables.overlap(tuned))
    yield ReportSection("filters", "Filters", blocks, _lead(tuned))
    if any(turned := samples.turned(tuned, TURNED)):
        yield _turned(tuned, *turned)
    blocks = [tables.rules(tuned)]
    if drawn := drawing.overlap(list(tuned.now.rulings())):
        blocks.append(drawn)
    yield ReportSection("rules", "Rules", blocks)
    for found in tuned.now.filters:
        if section := _filter(tuned, found):
            yield section
    yield ReportSection("sources", "Sources", [tables.sources(tuned)])


def _lead(tuned: Tuned) -> str:
    lead = (
        "Every filter is asked about every document, whatever another one says of it, so that what "
        "each removes can be told apart."
    )
    if tuned.skipped:
        lead += (
            f"\n\nNot in these figures: {', '.join(f'`{label}`' for label in tuned.skipped)}, "
            "which need all documents at once."
        )
    if tuned.left_out:
        lead += (
            f"\n\nNot measured, because they judge by what those add: "
            f"{', '.join(f'`{label}`' for label in tuned.left_out)}."
        )
    if tuned.changes and tuned.before is None:
        lead += (
            "\n\nThe overrides change what is measured, so there is nothing to compare with the "
            "manifest as written."
        )
    return lead


def _turned(tuned: Tuned, gained: Sequence[int], lost: Sequence[int]) -> ReportSection:
    blocks: list[Block] = []
    assert tuned.before is not None
    for title, rows, mask in (
        ("Kept by the overrides", gained, tuned.now.kept & ~tuned.before.kept),
        ("Removed by the overrides", lost, tuned.before.kept & ~tuned.now.kept),
    ):
        if rows:
            items = [_sample(row) for row in samples.fetched(tuned.stored, rows)]
            blocks.append(Samples(f"{title} ({int(mask.sum()):,})", items))
    lead = "Documents that the overrides treat otherwise than the manifest as written."
    return ReportSection("change", "What changes", blocks, lead)


def _filter(tuned: Tuned, found: Filter) -> ReportSection | None:
    blocks: list[Block] = []
    if drawn := drawing.histograms(tuned, found):
        blocks.append(drawn)
    for border in samples.of_filter(tuned, found, PER_SIDE):
        items = [
            _sample(row, border, side)
            for side, rows in (("removed", border.removed), ("kept", border.kept))
            for row in samples.fetched(tuned.stored, rows)
        ]
        if items:
            blocks.append(Samples(_border_title(border), items))
    lead = "" if found.thresholds else "This filter has no thresholds that could be tried."
    return ReportSection(f"filter-{found.label}", found.label, blocks, lead) if blocks else None


def _border_title(border: Border) -> str:
    rule = border.ruling.rule
    return f"{rule.reason}: nearest to {rule.signal} {border.sign} {said(border.limit)}"


def _sample(row: dict[str, Any], border: Border | None = None, side: str = "") -> Sample:
    notes = {}
    if border is not None:
        notes[side] = f"{border.ruling.rule.signal} {samples.value(row[border.ruling.signal])}"
    notes |= {
        "source": row["source"],
        "at": f"{row['_source']}:{row['_offset']}",
        "text": size(row[TEXT_BYTES]),
    }
    text = excerpt(row["text"])
    if not text.endswith("…") and len(text.encode()) < row[TEXT_BYTES]:
        text += " …"
    return Sample(row["id"], text, notes)
