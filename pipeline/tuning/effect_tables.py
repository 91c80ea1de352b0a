"""What thresholds do, as tables: the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.report.blocks import Table
from pipeline.report.format import share, signed, size
from pipeline.tuning.effects import RuleEffect, TuningResult

Cell = str | int | float | None
_MINUS: Final = "−"


def headline(tuned: TuningResult) -> str:
    """What stays under these thresholds, and what the overrides change, in one sentence."""
    stored, now = tuned.stored, tuned.now
    kept = stored.count(now.kept)
    stay = (
        f"{kept.documents:,} of {len(stored):,} documents "
        f"({share(kept.bytes, int(stored.sizes.sum()))} of the text)"
    )
    if tuned.before is None:
        return f"The filters keep {stay}."
    before = stored.count(tuned.before.kept)
    more, text = kept.documents - before.documents, kept.bytes - before.bytes
    noun = "document" if abs(more) == 1 else "documents"
    difference = (
        f"{abs(more):,} {'more' if more > 0 else 'fewer'} {noun}" if more else "as many documents"
    )
    gained = int((now.kept & ~tuned.before.kept).sum())
    lost = int((~now.kept & tuned.before.kept).sum())
    both = f"; {gained:,} come in and {lost:,} go out" if gained and lost else ""
    change = f"{signed_size(text)} of text" if text else "the same amount of text"
    return f"keeps {difference} ({change}{both}): {stay}"


def signed_size(count: int) -> str:
    return ("+" if count > 0 else _MINUS if count < 0 else "") + size(abs(count))


def tables(tuned: TuningResult) -> Iterator[Table]:
    """Filters, their overlap, rules, sources."""
    yield filters(tuned)
    if len(tuned.now.filters) > 1:
        yield overlap(tuned)
    yield rules(tuned)
    yield sources(tuned)


def filters(tuned: TuningResult) -> Table:
    stored, now = tuned.stored, tuned.now
    whole = int(stored.sizes.sum())
    before = {f.label: f for f in tuned.before.filters} if tuned.before else {}
    rows: list[list[Cell]] = []
    for found, dropped in now.in_order():
        removed, alone = stored.count(found.removed), stored.count(now.alone(found))
        row: list[Cell] = [found.label, removed.documents]
        if before:
            row.append(signed(removed.documents - int(before[found.label].removed.sum())))
        row += [share(removed.documents, len(stored)), size(removed.bytes)]
        row += [share(removed.bytes, whole), alone.documents, size(alone.bytes)]
        rows.append([*row, int(dropped.sum())])
    columns = ["Filter", "Removes", "Change", "Share", "Text", "Of all text"]
    columns += ["Alone", "Text alone", "In order"]
    if not before:
        columns.remove("Change")
    note = "Alone: would be kept if that filter were off. In order: what it drops of the "
    return Table("What each filter removes", columns, rows, note + "documents that reach it.")


def overlap(tuned: TuningResult) -> Table:
    found = tuned.now.filters
    rows: list[list[Cell]] = [
        [one.label, *(int((one.removed & other.removed).sum()) for other in found)] for one in found
    ]
    note = "Documents that both remove; on the diagonal all that the filter removes."
    return Table("Overlap of filters", ["Filter", *(f.label for f in found)], rows, note)


def rules(tuned: TuningResult) -> Table:
    several = len(tuned.now.filters) > 1
    rows: list[list[Cell]] = []
    for effect in tuned.now.rules():
        before = tuned.rule_before(effect)
        row: list[Cell] = [effect.step] if several else []
        row += [effect.rule.reason, effect.rule.signal, effect.limit]
        if tuned.before:
            changed = tuned.is_changed(effect)
            row.append((before.limit if before else "off") if changed else "")
        row += _removed(tuned, effect, before)
        alone = tuned.stored.count(tuned.now.alone_for(effect))
        rows.append([*row, alone.documents, size(alone.bytes)])
    for gone in _turned_off(tuned):
        row = [gone.step] if several else []
        row += [gone.rule.reason, gone.rule.signal, "off", gone.limit]
        rows.append([*row, 0, signed(-int(gone.broken.sum())), size(0), 0, size(0)])
    columns = ["Filter"] if several else []
    columns += ["Rule", "Signal", "Stays"]
    columns += ["Was", "Removes", "Change"] if tuned.before else ["Removes"]
    return Table(
        "What each rule removes",
        [*columns, "Text", "Alone", "Text alone"],
        rows,
        "Alone: would be kept if that rule were off. A document may break several rules.",
    )


def _removed(tuned: TuningResult, effect: RuleEffect, before: RuleEffect | None) -> list[Cell]:
    count = tuned.stored.count(effect.broken)
    if tuned.before is None:
        return [count.documents, size(count.bytes)]
    difference = count.documents - (int(before.broken.sum()) if before else 0)
    change = signed(difference) if tuned.is_changed(effect) else ""
    return [count.documents, change, size(count.bytes)]


def _turned_off(tuned: TuningResult) -> list[RuleEffect]:
    """Rules that the manifest has and the overrides do not."""
    if tuned.before is None:
        return []
    now = {effect.key for effect in tuned.now.rules()}
    return [effect for effect in tuned.before.rules() if effect.key not in now]


def sources(tuned: TuningResult) -> Table:
    stored, now = tuned.stored, tuned.now
    everything = stored.by_source(now.removers >= 0)
    kept = stored.by_source(now.kept)
    before = stored.by_source(tuned.before.kept) if tuned.before else {}
    removed = [stored.by_source(found.removed) for found in now.filters]
    rows: list[list[Cell]] = []
    for name, count in everything.items():
        row: list[Cell] = [name, count.documents, kept[name].documents]
        if before:
            row.append(signed(kept[name].documents - before[name].documents))
        row += [share(kept[name].documents, count.documents), size(kept[name].bytes)]
        row += [share(found[name].documents, count.documents) for found in removed]
        rows.append(row)
    columns = ["Source", "Documents", "Kept", "Change", "Share kept", "Text kept"]
    if not before:
        columns.remove("Change")
    columns += [f"By {found.label}" for found in now.filters]
    note = "By FILTER: the share of the source’s documents that it removes."
    return Table("What is kept of each source", columns, rows, note)
