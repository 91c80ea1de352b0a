"""What tuning found as one page, in the look of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from pipeline.report.blocks import Block, ReportSection, Sample, Samples
from pipeline.report.excerpts import excerpt
from pipeline.report.format import formatted, share, size
from pipeline.report.page import Page, render
from pipeline.tuning import effect_tables, signal_charts
from pipeline.tuning.effects import (
    Boundary,
    FilterEffect,
    TuningResult,
    boundaries_of_filter,
    changed_documents,
    documents_at,
    exact,
)
from pipeline.tuning.signals import TEXT_BYTES

PER_SIDE: Final = 2
CHANGED_SHOWN: Final = 6


def tuning_page(tuned: TuningResult) -> str:
    """The page as HTML. Raises WinnowError when a chart cannot be drawn."""
    kept = tuned.stored.count(tuned.now.kept)
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


def _headline(tuned: TuningResult) -> str:
    if not tuned.changes:
        return effect_tables.headline(tuned)
    return f"With {', '.join(f'`{c}`' for c in tuned.changes)}: {effect_tables.headline(tuned)}."


def _sections(tuned: TuningResult) -> Iterator[ReportSection]:
    if not len(tuned.stored):
        yield ReportSection("filters", "Filters", [], "No document is measured.")
        return
    blocks: list[Block] = [effect_tables.filters(tuned)]
    if len(tuned.now.filters) > 1:
        blocks.append(effect_tables.overlap(tuned))
    yield ReportSection("filters", "Filters", blocks, _lead(tuned))
    if any(changed := changed_documents(tuned, CHANGED_SHOWN)):
        yield _changes_section(tuned, *changed)
    blocks = [effect_tables.rules(tuned)]
    if drawn := signal_charts.overlap(list(tuned.now.rules())):
        blocks.append(drawn)
    yield ReportSection("rules", "Rules", blocks)
    for found in tuned.now.filters:
        if section := _filter(tuned, found):
            yield section
    yield ReportSection("sources", "Sources", [effect_tables.sources(tuned)])


def _lead(tuned: TuningResult) -> str:
    lead = (
        "Every filter looks at every document, whether or not another one removes it, so that the "
        "effect of each shows by itself."
    )
    if tuned.skipped:
        lead += (
            f"\n\nNot in these figures: {', '.join(f'`{label}`' for label in tuned.skipped)}, "
            "which need all documents at once."
        )
    if tuned.left_out:
        lead += (
            f"\n\nNot measured, because they need what those add: "
            f"{', '.join(f'`{label}`' for label in tuned.left_out)}."
        )
    if tuned.changes and tuned.before is None:
        lead += (
            "\n\nThe overrides change what is measured, so there is nothing to compare with the "
            "manifest as written."
        )
    return lead


def _changes_section(
    tuned: TuningResult, gained: Sequence[int], lost: Sequence[int]
) -> ReportSection:
    blocks: list[Block] = []
    assert tuned.before is not None
    for title, rows, mask in (
        ("Kept by the overrides", gained, tuned.now.kept & ~tuned.before.kept),
        ("Removed by the overrides", lost, tuned.before.kept & ~tuned.now.kept),
    ):
        if rows:
            items = [_sample(row) for row in documents_at(tuned.stored, rows)]
            blocks.append(Samples(f"{title} ({int(mask.sum()):,})", items))
    lead = "Documents that the overrides treat otherwise than the manifest as written."
    return ReportSection("change", "What changes", blocks, lead)


def _filter(tuned: TuningResult, found: FilterEffect) -> ReportSection | None:
    blocks: list[Block] = []
    if drawn := signal_charts.histograms(tuned, found):
        blocks.append(drawn)
    for boundary in boundaries_of_filter(tuned, found, PER_SIDE):
        items = [
            _sample(row, boundary, side)
            for side, rows in (("removed", boundary.removed), ("kept", boundary.kept))
            for row in documents_at(tuned.stored, rows)
        ]
        if items:
            blocks.append(Samples(_boundary_title(boundary), items))
    lead = "" if found.has_thresholds else "This filter has no thresholds that could be tried."
    return ReportSection(f"filter-{found.label}", found.label, blocks, lead) if blocks else None


def _boundary_title(boundary: Boundary) -> str:
    rule = boundary.effect.rule
    return f"{rule.reason}: nearest to {rule.signal} {boundary.sign} {formatted(boundary.limit)}"


def _sample(row: dict[str, Any], boundary: Boundary | None = None, side: str = "") -> Sample:
    notes = {}
    if boundary is not None:
        notes[side] = f"{boundary.effect.rule.signal} {exact(row[boundary.effect.signal])}"
    notes |= {
        "source": row["source"],
        "at": f"{row['_source']}:{row['_offset']}",
        "text": size(row[TEXT_BYTES]),
    }
    text = excerpt(row["text"])
    if not text.endswith("…") and len(text.encode()) < row[TEXT_BYTES]:
        text += " …"
    return Sample(row["id"], text, notes)
