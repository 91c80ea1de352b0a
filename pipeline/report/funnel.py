"""The engine's own sections of the report: what went where, why, and what it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pipeline.engine.results import WARNINGS
from pipeline.engine.stage import Count, Stage
from pipeline.manifest.wording import counted
from pipeline.parquet import read_documents
from pipeline.report import excerpts, histograms
from pipeline.report.blocks import Block, Chart, ReportSection, Table
from pipeline.report.charts import ACCENT, PALE
from pipeline.report.format import NOTHING, formatted, number, share, size
from pipeline.report.funnel_counts import FunnelCounts, StepLine, total

Row = list[str | int | float | None]


def funnel_sections(
    stages: Sequence[Stage],
    tokens_per_byte: float | None = None,
    with_sections: Collection[str] = (),
) -> list[ReportSection]:
    """Funnel, reasons, samples, scores and sources of the ``stages`` that read and filter
    documents. Tokens are bytes × ``tokens_per_byte``, marked as estimates; left out without it.
    ``with_sections`` names the stages whose metrics have sections of their own.

    Reads receipts and, of the Parquet files, only the columns and row groups that are shown.
    """
    counts = FunnelCounts.of(stages)
    sections = [
        _funnel(counts, tokens_per_byte),
        _reasons(counts),
        excerpts.samples_section(counts),
        histograms.scores_section(counts),
        _sources(counts),
        _metrics(counts, with_sections),
    ]
    return [section for section in sections if section is not None]


def _funnel(counts: FunnelCounts, tokens_per_byte: float | None) -> ReportSection:
    columns = [
        *("Step", "Documents in", "Dropped", "Share", "Left"),
        *("Text in", "Text dropped", "Text left"),
    ]
    everything = StepLine(
        "whole run",
        counts.read,
        {"": total(line.dropped for line in counts.steps)},
        counts.kept,
    )
    rows: list[Row] = []
    for line in [*counts.steps, everything]:
        into, out, left = line.entered, line.dropped, line.left
        rows.append(
            [
                *(line.label, into.documents, out.documents),
                *(share(out.documents, into.documents), left.documents),
                *(size(into.bytes), size(out.bytes), size(left.bytes)),
            ]
        )
    note = "Share: of the documents that reached the step. Text: bytes of UTF-8."
    if tokens_per_byte is not None:
        columns.append("Tokens left (estimated)")
        for row, line in zip(rows, [*counts.steps, everything], strict=True):
            row.append(round(line.left.bytes * tokens_per_byte))
        note += f" Tokens: bytes × {number(tokens_per_byte)}, the mean of the run’s tokenizer."
    blocks: list[Block] = [Table("Documents and text through each step", columns, rows, note)]
    if counts.steps and counts.read.documents:
        blocks.insert(0, _funnel_chart(counts))
    return ReportSection("funnel", "Funnel", blocks, _funnel_lead(counts))


def _funnel_lead(counts: FunnelCounts) -> str:
    bad = sum(counts.quarantined.values())
    lead = (
        f"The readers met {counted(counts.rows, 'row')}: "
        f"{counted(counts.read.documents, 'document')} ({size(counts.read.bytes)} of text) and "
        f"{counted(bad, 'bad row')} for quarantine. Left after all steps: "
        f"{counted(counts.kept.documents, 'document')} ({size(counts.kept.bytes)}), "
        f"{share(counts.kept.documents, counts.read.documents)} of the documents and "
        f"{share(counts.kept.bytes, counts.read.bytes)} of the text."
    )
    if counts.missing:
        lead += (
            f"\n\nWithout a receipt, so failed or not run yet: {counted(counts.missing, 'task')}. "
            "What they would have read is in none of these numbers."
        )
    return lead


def _funnel_chart(counts: FunnelCounts) -> Chart:
    import altair as alt  # loaded when something is drawn, for it takes a third of a second

    lines = [StepLine("read", counts.read, {}, counts.read), *counts.steps]
    values = [
        {"step": line.label, "part": part, "order": order, "documents": count.documents,
         "text": count.bytes / 1e6}
        for line in lines
        for order, (part, count) in enumerate((("left", line.left), ("dropped", line.dropped)))
    ]  # fmt: skip
    base = alt.Chart(alt.Data(values=values)).mark_bar()
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=["left", "dropped"], range=[ACCENT, PALE]),
        legend=alt.Legend(orient="top"),
    )
    labels = [line.label for line in lines]
    both = [
        base.encode(
            x=alt.X(f"{field}:Q", title=title, axis=alt.Axis(tickCount=5, format=",~r")),
            y=alt.Y("step:N", title=None, sort=labels, axis=axis),
            color=color,
            order="order:Q",
        ).properties(width=345)
        for field, title, axis in (
            ("documents", "documents", alt.Axis()),
            ("text", "text, MB", None),
        )
    ]
    steps = "; ".join(
        f"after {line.label} {share(line.left.documents, counts.read.documents)}"
        for line in counts.steps
    )
    return Chart(
        title="What is left after each step",
        spec=alt.hconcat(*both, spacing=30).to_dict(),
        alt=f"Bars of documents and text left and dropped per step. Documents left: {steps}.",
    )


def _reasons(counts: FunnelCounts) -> ReportSection | None:
    gone = total(line.dropped for line in counts.steps)
    if not gone.documents:
        return None
    rows: list[Row] = [
        [
            *(line.label, reason, count.documents),
            share(count.documents, line.entered.documents),
            share(count.documents, gone.documents),
            size(count.bytes),
        ]
        for line in counts.steps
        for reason, count in line.ranked()
    ]
    columns = ["Step", "Reason", "Documents", "Of those in", "Of all dropped", "Text"]
    table = Table("Documents dropped, by step and reason", columns, rows)
    lead = f"Dropped: {counted(gone.documents, 'document')}, each by one step for one reason."
    return ReportSection("reasons", "Reasons", [table], lead)


def _sources(counts: FunnelCounts) -> ReportSection:
    dropped: Counter[str] = Counter()
    for documents in counts.dropped_shards():
        for batch in documents.batches(["source"]):
            dropped.update(batch.column("source").to_pylist())
    bad: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for path in counts.quarantine_files():
        for batch in read_documents(path, ["source", "code", "message", "_source", "_offset"]):
            for row in batch.to_pylist():
                key = (row["source"], row["code"])
                bad[key] += 1
                examples.setdefault(key, f"{row['_source']}:{row['_offset']} {row['message']}")
    kept = counts.kept_by_source
    names = [*kept, *sorted({*dropped, *(source for source, _ in bad)} - kept.keys())]
    blocks: list[Block] = [
        Table(
            "Documents and text kept, by source",
            [
                "Source",
                "Kept",
                "Of its documents",
                "Text kept",
                "Of all text",
                "Dropped",
                "Bad rows",
            ],
            [_source_row(counts, name, dropped[name], bad) for name in names],
            "Bad rows could not become documents; they are in quarantine.",
        )
    ]
    if bad:
        rows: list[Row] = [
            [source, code, rows, examples[source, code]]
            for (source, code), rows in sorted(bad.items())
        ]
        columns = ["Source", "Code", "Rows", "First of them"]
        blocks.append(Table("Quarantined rows, by source and code", columns, rows))
    return ReportSection("sources", "Sources", blocks)


def _source_row(
    counts: FunnelCounts, source: str, dropped: int, bad: Counter[tuple[str, str]]
) -> Row:
    kept = counts.kept_by_source.get(source, Count())
    return [
        source,
        kept.documents,
        share(kept.documents, kept.documents + dropped),
        size(kept.bytes),
        share(kept.bytes, counts.kept.bytes),
        dropped,
        sum(rows for (name, _), rows in bad.items() if name == source),
    ]


def _metrics(counts: FunnelCounts, with_sections: Collection[str]) -> ReportSection | None:
    tables = [
        Table(name, ["Metric", "Value"], [[key, value] for key, value in _flat(shown)])
        for name, metrics in counts.metrics
        if name not in with_sections
        and (shown := {key: value for key, value in metrics.items() if key != WARNINGS})
    ]
    lead = "What global steps found over all documents."
    return ReportSection("metrics", "Metrics", tables, lead) if tables else None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value in words) of nested JSON objects, depth first."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and not value:
        yield path, NOTHING
    elif isinstance(value, list):
        shown = ", ".join(formatted(item) for item in value[:8])
        yield path, f"{shown}, … ({len(value):,} in all)" if len(value) > 8 else shown
    else:
        yield path, formatted(value)
