"""run_results.json: what a run did, for programs. Versioned; its JSON schema is generated."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.engine.stage import Count, Counts, Stage

# Names of what a run writes into its output folder for people and programs.
RESULTS = "run_results.json"
REPORT = "report.html"


class StageResult(BaseModel):
    """``seconds`` is wall time of this run; 0 for what was reused. ``folder`` is relative."""

    model_config = ConfigDict(extra="forbid")

    name: str
    folder: str
    fingerprint: str
    status: Literal["reused", "done", "failed", "blocked"]
    why: str
    tasks: int
    tasks_done: int
    seconds: float
    counts: Counts | None = None


class FailureResult(BaseModel):
    """A task that could not be done, and what to do about it."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    task: str
    code: str
    message: str
    hint: str = ""


class RunResults(BaseModel):
    """Everything a run reports. ``manifest`` is the resolved manifest as plain values, with
    environment references unresolved; ``extensions`` is what each extension concluded."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    winnow: str
    name: str
    manifest_path: str
    manifest: dict[str, JsonValue]
    status: Literal["done", "failed"]
    exit_code: int
    started: str
    seconds: float
    documents: Counts
    duplicate_ids: int | None
    stages: list[StageResult]
    failures: list[FailureResult]
    extensions: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


def results_schema() -> dict[str, Any]:
    """JSON Schema of run_results.json."""
    return RunResults.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "winnow run results",
    }


def add_counts(parts: list[Counts]) -> Counts:
    """The counts of several shards of one stage as one."""
    total = Counts()
    for part in parts:
        total.rows += part.rows
        total.expanded += part.expanded
        total.kept = total.kept + part.kept
        for code, number in part.quarantined.items():
            total.quarantined[code] = total.quarantined.get(code, 0) + number
        _add_tallies(total.entered, part.entered)
        _add_tallies(total.by_source, part.by_source)
        for step, reasons in part.dropped.items():
            _add_tallies(total.dropped.setdefault(step, {}), reasons)
    return total


def _add_tallies(total: dict[str, Count], part: dict[str, Count]) -> None:
    for name, tally in part.items():
        total[name] = total.get(name, Count()) + tally


def stage_counts(stage: Stage) -> Counts | None:
    """What the committed tasks of a stage counted; None for stages that do not move documents."""
    counts = [r.counts for r in stage.committed.receipts() if r.counts is not None]
    return add_counts(counts) if counts else None


def whole_funnel(stages: list[Stage]) -> Counts:
    """Over all stages: rows the readers met, and through which door each of them left."""
    per_stage = [counts for stage in stages if (counts := stage_counts(stage)) is not None]
    if not per_stage:
        return Counts()
    total = Counts(rows=per_stage[0].rows, kept=per_stage[-1].kept)
    total.by_source = per_stage[-1].by_source
    for counts in per_stage:
        total.expanded += counts.expanded
        total.dropped.update(counts.dropped)
        total.entered.update(counts.entered)
        for code, number in counts.quarantined.items():
            total.quarantined[code] = total.quarantined.get(code, 0) + number
    return total
