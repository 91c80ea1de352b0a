"""Report sections of dedup steps: what was compared, what was not, and what that left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winnow import Block, Prose, ReportSection, Table


def near_duplicate_sections(
    label: str, ngram: int, jaccard: float, metrics: Mapping[str, Any]
) -> Sequence[ReportSection]:
    """One section from the metrics of ``minhash_dedup``."""
    numbers, compared = metrics["differ_in_numbers"], metrics["compared"]
    share = f" ({100 * numbers['compared'] / compared:.1f} %)" if compared else ""
    rows: list[list[str | int | float | None]] = [
        ["documents", metrics["documents"], ""],
        ["not compared", metrics["without_shingles"], f"they have fewer than {ngram} words"],
        ["candidates", metrics["candidates"], "they share a bucket with another document"],
        ["pairs compared", compared, "by the Jaccard index of their n-grams"],
        ["pairs skipped", metrics["skipped"], "their bucket had too many survivors"],
        [
            "pairs that differ in numbers alone",
            numbers["compared"],
            f"of those compared{share}; in {numbers['dropped']:,} of them one was dropped",
        ],
        ["dropped", metrics["dropped"], f"Jaccard index of {jaccard:g} or more"],
        ["largest cluster", metrics["largest_cluster"], "documents, with the one that stays"],
    ]
    blocks: list[Block] = [Table("Near duplicates", ["", "number", "which"], rows)]
    if warnings := metrics["warnings"]:
        blocks.insert(0, Prose("\n\n".join(f"{text}." for text in warnings), tone="warning"))
    lead = f"{metrics['dropped']:,} of {metrics['documents']:,} documents were near duplicates."
    return [ReportSection(label, f"Near duplicates, by {label}", blocks, lead)]
