"""A few documents to look at, chosen by the hash of their id and not by hand."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
import xxhash

from pipeline.report.blocks import ReportSection, Sample, Samples
from pipeline.report.format import formatted, size
from pipeline.report.funnel_counts import FunnelCounts
from pipeline.shard_documents import ShardDocuments

EXCERPT_CHARACTERS: Final = 600
EXCERPT_LINES: Final = 12
# Documents of one group that may stand for it, from each shard: bounds the work on large runs.
CANDIDATES_PER_SHARD: Final = 1_000

REASONS_SHOWN: Final = 4
SAMPLES_PER_REASON: Final = 2
KEPT_SAMPLES: Final = 8

Group = tuple[str, ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where a chosen document is: ``digest`` orders, ``shard`` and ``row`` count from 0."""

    digest: int
    shard: int
    row: int


def samples_section(counts: FunnelCounts) -> ReportSection | None:
    """Up to two documents of each main reason of each step, and one kept document per source."""
    blocks = [*_dropped(counts), *_kept(counts)]
    if not blocks:
        return None
    lead = (
        f"Per step the {REASONS_SHOWN} most frequent reasons. Documents are chosen by the hash of "
        "their id, not by hand, and cut to their beginning; what was measured stands below."
    )
    return ReportSection("samples", "Dropped and kept samples", blocks, lead)


def _dropped(counts: FunnelCounts) -> Iterator[Samples]:
    shards = counts.dropped_shards()
    main = {
        (line.label, reason): count
        for line in counts.steps
        for reason, count in line.ranked()[:REASONS_SHOWN]
    }
    chosen = choose(shards, ("step", "reason"), dict.fromkeys(main, SAMPLES_PER_REASON))
    samples = _samples(shards, chosen)
    for (step, reason), places in chosen.items():
        if places:
            documents = main[step, reason].documents
            yield Samples(
                f"Dropped by {step}: {reason} ({documents:,})",
                [samples[place] for place in places],
            )


def _kept(counts: FunnelCounts) -> Iterator[Samples]:
    shards = counts.kept_shards
    wanted: dict[Group, int] = {
        (source,): 1 for source in list(counts.kept_by_source)[:KEPT_SAMPLES]
    }
    chosen = choose(shards, ("source",), wanted)
    samples = _samples(shards, chosen)
    if samples:
        title = f"Kept ({counts.kept.documents:,})"
        yield Samples(title, [samples[place] for places in chosen.values() for place in places])


def _samples(
    shards: Sequence[ShardDocuments], chosen: Mapping[Group, list[Place]]
) -> dict[Place, Sample]:
    places = [place for places in chosen.values() for place in places]
    return {place: _sample(row) for place, row in fetch(shards, places)}


def _sample(row: dict[str, Any]) -> Sample:
    notes = {
        "source": row["source"],
        "at": f"{row['_source']}:{row['_offset']}",
        "text": size(len(row["text"].encode())),
    }
    signals = orjson.loads(row["signals"]) if "signals" in row else {}
    scores = {name: value for name, value in row.items() if isinstance(value, float)}
    notes.update((name, formatted(value)) for name, value in {**signals, **scores}.items())
    return Sample(row["id"], excerpt(row["text"]), notes)


def choose(
    shards: Sequence[ShardDocuments], by: Sequence[str], wanted: Mapping[Group, int]
) -> dict[Group, list[Place]]:
    """For each group (values of the columns ``by``), the documents with the smallest hashes of
    ``id``: as many as ``wanted`` says, among the first 1,000 of the group in each shard."""
    chosen: dict[Group, list[Place]] = {group: [] for group in wanted}
    for number, documents in enumerate(shards):
        seen: Counter[Group] = Counter()
        row = 0
        for batch in documents.batches(["id", *by]):
            groups = zip(*(batch.column(name).to_pylist() for name in by), strict=True)
            for place, (id_, group) in enumerate(
                zip(batch.column("id").to_pylist(), groups, strict=True), start=row
            ):
                if group in chosen and seen[group] < CANDIDATES_PER_SHARD:
                    seen[group] += 1
                    digest = xxhash.xxh3_64_intdigest(id_.encode())
                    _offer(chosen[group], Place(digest, number, place), wanted[group])
            row += batch.num_rows
    return chosen


def _offer(places: list[Place], place: Place, wanted: int) -> None:
    places[:] = heapq.nsmallest(wanted, [*places, place])


def fetch(
    shards: Sequence[ShardDocuments], places: Collection[Place]
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each place with its row, all columns. Holds one row group (about 32 MB) at a time."""
    for number in sorted({place.shard for place in places}):
        documents = shards[number]
        waiting = sorted((p for p in places if p.shard == number), key=lambda place: place.row)
        rows = np.array([place.row for place in waiting], np.int64)
        found = documents.take(rows, documents.schema.names)
        yield from zip(waiting, found.to_pylist(), strict=True)


def excerpt(text: str) -> str:
    """The beginning of ``text``: at most 600 characters and 12 lines, with "…" where cut."""
    cut = "\n".join(text[:EXCERPT_CHARACTERS].split("\n")[:EXCERPT_LINES])
    return cut if len(cut) == len(text) else cut.rstrip() + " …"
