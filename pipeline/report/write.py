"""Puts the report together: the engine's own sections, those of extensions and those of steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast, get_args

from pipeline.engine.commit import write_atomically
from pipeline.engine.graph import Graph
from pipeline.engine.results import REPORT, RunResults
from pipeline.engine.row_tasks import ARTIFACTS
from pipeline.manifest import Manifest
from pipeline.manifest.wording import counted
from pipeline.report.blocks import ReportSection, Table, Tone
from pipeline.report.format import signed
from pipeline.report.funnel import funnel_sections
from pipeline.report.page import Page, render
from pipeline.report.run_section import run_section
from pipeline.step import GlobalStep

Cell = str | int | float | None


def write_report(manifest: Manifest, graph: Graph, results: RunResults) -> None:
    """Write ``report.html`` from what is committed. A failed run gets a report of what is there."""
    done = {stage.name for stage in results.stages if stage.status in ("reused", "done")}
    sections: list[ReportSection] = []
    if results.failures:
        sections.append(_failures(results))
    for name, stages in graph.extensions.items():
        if stages and all(stage.name in done for stage in stages):
            sections += manifest.extensions[name].report_sections(stages)
    of_sections = {stage.name for stages in graph.extensions.values() for stage in stages}
    of_steps = _of_steps(manifest, graph, done)
    sections += [section for found in of_steps.values() for section in found]
    begun = {stage.name for stage in results.stages if stage.status != "blocked"}
    sections += funnel_sections(
        [s for s in graph.stages if s.name in begun - of_sections],
        _tokens_per_byte(results),
        with_sections=of_steps,
    )
    sections.append(run_section(manifest, results))
    counts = results.documents
    headline, tone = _headline(manifest, results)
    page = Page(
        title=results.name,
        subtitle=f"{results.manifest_path} · winnow {results.winnow} · {results.started}",
        metrics=[
            ("rows in", counts.rows),
            ("documents kept", _kept(results)),
            ("quarantined", sum(counts.quarantined.values())),
            ("wall time of this run", f"{results.seconds:,.0f} s"),
        ],
        headline=headline,
        sections=sections,
        tone=tone,
        warnings=results.warnings,
    )
    write_atomically(manifest.output / REPORT, render(page))


def _kept(results: RunResults) -> str:
    kept = results.documents.kept.documents
    more = kept - results.last_run.kept if results.last_run else 0
    return f"{kept:,}" + (f" ({signed(more)} since the last run)" if more else "")


def _of_steps(
    manifest: Manifest, graph: Graph, done: Collection[str]
) -> dict[str, Sequence[ReportSection]]:
    """Sections of the global steps that are done, by the name of the stage that reduced."""
    found: dict[str, Sequence[ReportSection]] = {}
    for named in manifest.steps:
        stage = graph.reductions.get(named.label)
        if stage is None or stage.name not in done:
            continue
        assert isinstance(named.step, GlobalStep)
        (receipt,) = stage.outputs.receipts()
        folder = stage.outputs.folder(receipt.key) / ARTIFACTS
        sections = named.step.report_sections(named.label, folder, receipt.metrics)
        if sections:
            found[stage.name] = sections
    return found


def _tokens_per_byte(results: RunResults) -> float | None:
    """As an extension measured it, if one did."""
    for extension in results.extensions.values():
        value = extension.get("tokens_per_byte")
        if isinstance(value, float):
            return value
    return None


def _headline(manifest: Manifest, results: RunResults) -> tuple[str, Tone]:
    """The one sentence to remember, and how it is meant."""
    if results.status != "done":
        return _unfinished_headline(results), "failed"
    for extension in results.extensions.values():
        headline, tone = extension.get("headline"), extension.get("tone", "")
        if isinstance(headline, str) and tone in get_args(Tone):
            return headline, cast(Tone, tone)
    counts = results.documents
    return f"{manifest.headline}: {counts.kept.documents:,} of {counted(counts.rows, 'row')}.", ""


def _unfinished_headline(results: RunResults) -> str:
    """For a run that failed or, without any failure, was interrupted."""
    what = f"The run is {results.status}."
    if results.failures:
        first, *others = results.failures
        more = f" and {len(others):,} more" if others else ""
        place = f"`{first.stage}`, `{first.task}`{more}"
        what = f"The run failed in {place}: {first.message.rstrip('.')}."
    rows, kept = results.documents.rows, results.documents.kept.documents
    return f"{what} Read so far: {counted(rows, 'row')}, {counted(kept, 'document')} left."


def _failures(results: RunResults) -> ReportSection:
    rows: list[list[Cell]] = [
        [f.stage, f.task, f.code, f.message, f.hint] for f in results.failures
    ]
    table = Table(
        "Failures",
        ["stage", "task", "code", "what happened", "what to do"],
        rows,
        tones=["failed"] * len(rows),
    )
    return ReportSection("failures", "Failures", [table])
