"""What tuning found as JSON, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pipeline.documents import BoolArray
from pipeline.report.format import said, visible
from pipeline.tuning import samples, tables
from pipeline.tuning.samples import Border
from pipeline.tuning.signals import TEXT_BYTES
from pipeline.tuning.tuning import Filter, Ruling, Tuned

PER_SIDE: Final = 2
LINE_CHARACTERS: Final = 80

Json = dict[str, Any]


def as_json(tuned: Tuned) -> Json:
    """Everything found, for programs. Sizes are bytes of UTF-8."""
    before = tuned.before
    return {
        "schema_version": 1,
        "manifest": str(tuned.manifest.path),
        "changes": list(tuned.changes),
        "documents": _tally(tuned, tuned.now.removers >= 0),
        "kept": _tally(tuned, tuned.now.kept),
        "kept_before": _tally(tuned, before.kept) if before else None,
        "gained": _tally(tuned, tuned.now.kept & ~before.kept) if before else None,
        "lost": _tally(tuned, before.kept & ~tuned.now.kept) if before else None,
        "skipped": list(tuned.skipped),
        "not_measured": list(tuned.left_out),
        "filters": [_filter(tuned, found, dropped) for found, dropped in tuned.now.in_order()],
        "overlap": [
            [int((one.removed & other.removed).sum()) for other in tuned.now.filters]
            for one in tuned.now.filters
        ],
    }


def _filter(tuned: Tuned, found: Filter, dropped: BoolArray) -> Json:
    borders: dict[tuple[str, str, str, str], list[Json]] = {}
    for border in samples.of_filter(tuned, found, PER_SIDE):
        borders.setdefault(border.ruling.key, []).append(_border(tuned, border))
    return {
        "step": found.label,
        "has_thresholds": found.thresholds,
        "removes": _tally(tuned, found.removed),
        "alone": _tally(tuned, tuned.now.alone(found)),
        "in_order": _tally(tuned, dropped),
        "rules": [_ruling(tuned, r) | {"nearest": borders.get(r.key, [])} for r in found.rulings],
    }


def _ruling(tuned: Tuned, ruling: Ruling) -> Json:
    rule, before = ruling.rule, tuned.ruling_before(ruling)
    return {
        "reason": rule.reason,
        "signal": rule.signal or None,
        "parameter": rule.parameter or None,
        "least": rule.least,
        "most": rule.most,
        "removes": _tally(tuned, ruling.broken),
        "removed_before": int(before.broken.sum()) if before else None,
        "alone": _tally(tuned, tuned.now.alone_for(ruling)),
    }


def _tally(tuned: Tuned, chosen: BoolArray) -> Json:
    sources = tuned.stored.by_source(chosen)
    return {
        **tuned.stored.tally(chosen).model_dump(),
        "by_source": {name: tally.model_dump() for name, tally in sources.items()},
    }


def _border(tuned: Tuned, border: Border) -> Json:
    names = ("id", "source", "_source", "_offset", TEXT_BYTES, "text")
    sides = {
        side: [
            {"value": row[border.ruling.signal], **{name: row[name] for name in names}}
            for row in samples.fetched(tuned.stored, rows)
        ]
        for side, rows in (("removed", border.removed), ("kept", border.kept))
    }
    return {"keeps": border.sign, "limit": border.limit, **sides}


def notes(tuned: Tuned) -> Iterator[str]:
    """What is compared with what, before the tables."""
    yield from tuned.changes
    yield tables.headline(tuned)
    if tuned.changes and tuned.before is None:
        yield "the overrides change what is measured: nothing to compare with"
    if tuned.skipped:
        yield f"without {', '.join(tuned.skipped)}, which need all documents at once"
    if tuned.left_out:
        yield f"without {', '.join(tuned.left_out)}, which judge by what those add"


def nearest(tuned: Tuned) -> Iterator[str]:
    """Documents on both sides of the limits that the overrides move, a line for each."""
    for ruling in filter(tuned.is_changed, tuned.now.rulings()):
        for border in samples.borders(tuned.stored, ruling, PER_SIDE):
            limit = f"{ruling.signal} {border.sign} {said(border.limit)}"
            yield f"nearest to {limit}:"
            for side, rows in (("removed", border.removed), ("kept", border.kept)):
                for row in samples.fetched(tuned.stored, rows):
                    text = visible(" ".join(row["text"].split()))[:LINE_CHARACTERS]
                    value = samples.value(row[ruling.signal])
                    yield f"  {side:<7}  {value:>9}  {visible(row['id'])}  {text}"
