"""Puts the report together: the engine's own chapters, those of sections and those of steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast, get_args

from pipeline.commit import write_atomically
from pipeline.graph import Graph
from pipeline.manifest import Manifest
from pipeline.panel import Chapter, Table
from pipeline.report.funnel import funnel_chapters
from pipeline.report.page import Page, Tone, render
from pipeline.results import REPORT, RunResults
from pipeline.rows import FINDINGS
from pipeline.step import BarrierStep

Cell = str | int | float | None


def write_report(manifest: Manifest, graph: Graph, results: RunResults) -> None:
    """Write ``report.html`` from what is committed. A failed run gets a report of what is there."""
    done = {stage.fingerprint for stage in results.stages if stage.status in ("reused", "done")}
    chapters: list[Chapter] = []
    if results.failures:
        chapters.append(_failures(results))
    for name, stages in graph.sections.items():
        if stages and all(stage.fingerprint in done for stage in stages):
            chapters += manifest.sections[name].chapters(stages)
    of_sections = {stage.fingerprint for stages in graph.sections.values() for stage in stages}
    of_steps = _of_steps(manifest, graph, done)
    chapters += [chapter for told in of_steps.values() for chapter in told]
    chapters += funnel_chapters(
        [s for s in graph.stages if s.fingerprint in done and s.fingerprint not in of_sections],
        _tokens_per_byte(results),
        told=of_steps,
    )
    chapters.append(_stages(results))
    counts = results.documents
    headline, tone = _headline(results)
    page = Page(
        title=results.name,
        subtitle=f"{results.manifest_path} · winnow {results.winnow} · {results.started}",
        facts=[
            ("rows in", counts.rows),
            ("documents kept", counts.kept.documents),
            ("quarantined", sum(counts.quarantined.values())),
            ("wall time of this run", f"{results.seconds:,.0f} s"),
        ],
        headline=headline,
        chapters=chapters,
        tone=tone,
    )
    write_atomically(manifest.output / REPORT, render(page))


def _of_steps(
    manifest: Manifest, graph: Graph, done: Collection[str]
) -> dict[str, Sequence[Chapter]]:
    """Chapters of the steps that have concluded and tell of it, by name of the stage."""
    found: dict[str, Sequence[Chapter]] = {}
    for named in manifest.steps:
        stage = graph.conclusions.get(named.label)
        if stage is None or stage.fingerprint not in done:
            continue
        assert isinstance(named.step, BarrierStep)
        (receipt,) = stage.committed.receipts()
        chapters = named.step.chapters(named.label, stage.folder / FINDINGS, receipt.facts)
        if chapters:
            found[stage.name] = chapters
    return found


def _tokens_per_byte(results: RunResults) -> float | None:
    """As a section measured it, if one did."""
    for section in results.sections.values():
        value = section.get("tokens_per_byte")
        if isinstance(value, float):
            return value
    return None


def _headline(results: RunResults) -> tuple[str, Tone]:
    """The one sentence to remember, and how it is meant."""
    if results.failures:
        return f"The run failed: {results.failures[0].message}", ""
    for section in results.sections.values():
        headline, tone = section.get("headline"), section.get("tone", "")
        if isinstance(headline, str) and tone in get_args(Tone):
            return headline, cast(Tone, tone)
    counts = results.documents
    return f"{counts.kept.documents:,} of {counts.rows:,} rows were kept.", ""


def _failures(results: RunResults) -> Chapter:
    rows: list[list[Cell]] = [
        [f.stage, f.task, f.code, f.message, f.hint] for f in results.failures
    ]
    table = Table("Failures", ["stage", "task", "code", "what happened", "what to do"], rows)
    return Chapter("failures", "Failures", [table])


def _stages(results: RunResults) -> Chapter:
    rows: list[list[Cell]] = [
        [s.name, s.status, s.tasks_done, s.tasks, s.seconds, s.fingerprint[:8], s.why]
        for s in results.stages
    ]
    columns = ["stage", "status", "done", "tasks", "seconds", "fingerprint", "why"]
    table = Table("Stages of this run", columns, rows, note="A reused stage took no time.")
    return Chapter("stages", "Stages", [table])
