"""The engine's own sections of the report: what went where, why, and what it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import altair as alt

from pipeline.engine.results import WARNINGS
from pipeline.engine.stage import DROPPED, QUARANTINE, Count, Stage
from pipeline.parquet import read_documents
from pipeline.report import excerpts, histograms
from pipeline.report.blocks import Block, Chart, ReportSection, Table
from pipeline.report.charts import ACCENT, PALE
from pipeline.report.format import NOTHING, number, said, share, size
from pipeline.report.funnel_counts import Ledger, StepLine, total

Row = list[str | int | float | None]


def funnel_sections(
    stages: Sequence[Stage],
    tokens_per_byte: float | None = None,
    told: Collection[str] = (),
) -> list[ReportSection]:
    """Funnel, reasons, samples, scores and sources of the ``stages`` that read and judge
    documents. Tokens are bytes × ``tokens_per_byte`` and said to be estimated; left out without it.
    ``told`` names the stages whose artifacts have sections of their own.

    Reads receipts and, of the Parquet files, only the columns and row groups that are shown.
    """
    ledger = Ledger.of(stages)
    sections = [
        _funnel(ledger, tokens_per_byte),
        _reasons(ledger),
        excerpts.samples_section(ledger),
        histograms.scores_section(ledger),
        _sources(ledger),
        _findings(ledger, told),
    ]
    return [section for section in sections if section is not None]


def _funnel(ledger: Ledger, tokens_per_byte: float | None) -> ReportSection:
    columns = [
        *("Step", "Documents in", "Dropped", "Share", "Left"),
        *("Text in", "Text dropped", "Text left"),
    ]
    everything = StepLine(
        "whole run",
        ledger.read,
        {"": total(line.dropped for line in ledger.steps)},
        ledger.kept,
    )
    rows: list[Row] = []
    for line in [*ledger.steps, everything]:
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
        for row, line in zip(rows, [*ledger.steps, everything], strict=True):
            row.append(round(line.left.bytes * tokens_per_byte))
        note += f" Tokens: bytes × {number(tokens_per_byte)}, the mean of the run’s tokenizer."
    blocks: list[Block] = [Table("Documents and text through each step", columns, rows, note)]
    if ledger.steps and ledger.read.documents:
        blocks.insert(0, _funnel_chart(ledger))
    return ReportSection("funnel", "Funnel", blocks, _funnel_lead(ledger))


def _funnel_lead(ledger: Ledger) -> str:
    bad = sum(ledger.quarantined.values())
    lead = (
        f"The readers met {ledger.rows:,} rows: {ledger.read.documents:,} documents "
        f"({size(ledger.read.bytes)} of text) and {bad:,} that went to quarantine. "
        f"{ledger.kept.documents:,} documents ({size(ledger.kept.bytes)}) are left, "
        f"{share(ledger.kept.documents, ledger.read.documents)} of the documents and "
        f"{share(ledger.kept.bytes, ledger.read.bytes)} of the text."
    )
    if ledger.missing:
        tasks = "1 task has" if ledger.missing == 1 else f"{ledger.missing:,} tasks have"
        lead += (
            f"\n\n{tasks} no receipt: failed or not run yet. Those documents are in none of these "
            "numbers."
        )
    return lead


def _funnel_chart(ledger: Ledger) -> Chart:
    lines = [StepLine("read", ledger.read, {}, ledger.read), *ledger.steps]
    values = [
        {"step": line.label, "part": part, "order": order, "documents": tally.documents,
         "text": tally.bytes / 1e6}
        for line in lines
        for order, (part, tally) in enumerate((("left", line.left), ("dropped", line.dropped)))
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
        f"after {line.label} {share(line.left.documents, ledger.read.documents)}"
        for line in ledger.steps
    )
    return Chart(
        title="What is left after each step",
        spec=alt.hconcat(*both, spacing=30).to_dict(),
        alt=f"Bars of documents and text left and dropped per step. Documents left: {steps}.",
    )


def _reasons(ledger: Ledger) -> ReportSection | None:
    gone = total(line.dropped for line in ledger.steps)
    if not gone.documents:
        return None
    rows: list[Row] = [
        [
            *(line.label, reason, tally.documents),
            share(tally.documents, line.entered.documents),
            share(tally.documents, gone.documents),
            size(tally.bytes),
        ]
        for line in ledger.steps
        for reason, tally in line.ranked()
    ]
    columns = ["Step", "Reason", "Documents", "Of those in", "Of all dropped", "Text"]
    table = Table("Documents dropped, by step and reason", columns, rows)
    lead = f"{gone.documents:,} documents were dropped, each by one step for one reason."
    return ReportSection("reasons", "Reasons", [table], lead)


def _sources(ledger: Ledger) -> ReportSection:
    dropped: Counter[str] = Counter()
    for path in ledger.files(DROPPED):
        for batch in read_documents(path, ["source"]):
            dropped.update(batch.column("source").to_pylist())
    bad: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for path in ledger.files(QUARANTINE):
        for batch in read_documents(path, ["source", "code", "message", "_source", "_offset"]):
            for row in batch.to_pylist():
                key = (row["source"], row["code"])
                bad[key] += 1
                examples.setdefault(key, f"{row['_source']}:{row['_offset']} {row['message']}")
    kept = ledger.kept_by_source
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
            [_source_row(ledger, name, dropped[name], bad) for name in names],
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


def _source_row(ledger: Ledger, source: str, dropped: int, bad: Counter[tuple[str, str]]) -> Row:
    kept = ledger.kept_by_source.get(source, Count())
    return [
        source,
        kept.documents,
        share(kept.documents, kept.documents + dropped),
        size(kept.bytes),
        share(kept.bytes, ledger.kept.bytes),
        dropped,
        sum(rows for (name, _), rows in bad.items() if name == source),
    ]


def _findings(ledger: Ledger, told: Collection[str]) -> ReportSection | None:
    tables = [
        Table(name, ["Metric", "Value"], [[key, value] for key, value in _flat(shown)])
        for name, metrics in ledger.artifacts
        if name not in told
        and (shown := {key: value for key, value in metrics.items() if key != WARNINGS})
    ]
    lead = "What steps concluded from all documents before they judged any."
    return ReportSection("metrics", "Metrics", tables, lead) if tables else None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value in words) of nested JSON objects, depth first."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and not value:
        yield path, NOTHING
    elif isinstance(value, list):
        shown = ", ".join(said(item) for item in value[:8])
        yield path, f"{shown}, … ({len(value):,} in all)" if len(value) > 8 else shown
    else:
        yield path, said(value)
