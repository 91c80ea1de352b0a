"""run_results.json: what a run did, for programs. Versioned; its JSON schema is generated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.engine.provenance import Environment, LastRun, changes, manifest_changes
from pipeline.engine.stage import Count, Counts, Stage

# Names of what a run writes into its output folder for people and programs.
RESULTS = "run_results.json"
REPORT = "report.html"

WARNINGS: Final = "warnings"
"""Key of a task's metrics, and of an extension's results, that holds a list of sentences."""


class StageResult(BaseModel):
    """``seconds`` is wall time of this run; 0 for what was reused."""

    model_config = ConfigDict(extra="forbid")

    name: str
    fingerprint: str
    status: Literal["reused", "done", "failed", "blocked"]
    why: str
    tasks: int
    tasks_done: int
    seconds: float
    counts: Counts | None = None


class FailureResult(BaseModel):
    """A task that could not be done, and what to do about it. ``key`` is its name in the stage,
    ``task`` the one for people."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    key: str
    task: str
    code: str
    message: str
    hint: str = ""


class RunResults(BaseModel):
    """Everything a run reports. ``manifest`` is the resolved manifest as plain values, with
    environment references unresolved; ``extensions`` is what each extension concluded.

    ``documents`` counts every row that was met, in a failed run too. ``unfinished`` is how many of
    these documents entered a stage's tasks that failed or did not run, so that rows in = kept +
    dropped + quarantined + unfinished. ``warnings`` are what a reader must know before relying on
    the rest, one sentence each. ``corpus`` is the folder with the documents that the steps left,
    None when they did not get so far; ``store`` is where it links to. ``environment`` is what the
    run was made on and ``last_run`` the one before it, if there was one.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[2] = 2
    winnow: str
    name: str
    manifest_path: str
    manifest: dict[str, JsonValue]
    status: Literal["done", "failed", "interrupted"]
    exit_code: int
    started: str
    seconds: float
    store: str
    corpus: str | None
    documents: Counts
    unfinished: int = 0
    warnings: list[str] = Field(default_factory=list)
    duplicate_ids: int | None
    stages: list[StageResult]
    failures: list[FailureResult]
    extensions: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    environment: Environment = Field(default_factory=Environment)
    last_run: LastRun | None = None

    def headlines(self) -> dict[str, str]:
        """What each extension concluded, in a sentence; without those that say none."""
        found = ((name, values.get("headline")) for name, values in self.extensions.items())
        return {name: text for name, text in found if isinstance(text, str)}


def results_schema() -> dict[str, Any]:
    """JSON Schema of run_results.json."""
    return RunResults.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "winnow run results",
    }


def compared_with(last: RunResults, now: RunResults) -> LastRun:
    """What ``now`` is to say of the run before it."""
    before, after = (run.environment.model_dump(exclude={"memory"}) for run in (last, now))
    return LastRun(
        started=last.started,
        status=last.status,
        rows=last.documents.rows,
        kept=last.documents.kept.documents,
        headlines=last.headlines(),
        changes=[*manifest_changes(last.manifest, now.manifest), *changes(before, after)],
    )


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
    counts = [r.counts for r in stage.outputs.receipts() if r.counts is not None]
    return add_counts(counts) if counts else None


def whole_funnel(stages: Sequence[Stage]) -> tuple[Counts, int]:
    """Over all stages: the rows that the readers met and how each of them left, and how many
    documents are in tasks without a receipt, so of which nothing is known yet."""
    per_stage = [counts for stage in stages if (counts := stage_counts(stage)) is not None]
    if not per_stage:
        return Counts(), 0
    total = Counts(rows=per_stage[0].rows, kept=per_stage[-1].kept)
    total.by_source = per_stage[-1].by_source
    for counts in per_stage:
        total.expanded += counts.expanded
        total.dropped.update(counts.dropped)
        total.entered.update(counts.entered)
        for code, number in counts.quarantined.items():
            total.quarantined[code] = total.quarantined.get(code, 0) + number
    unfinished = sum(before.kept.documents - now.rows for before, now in pairwise(per_stage))
    return total, unfinished


def warnings_of(
    stages: Sequence[Stage], extensions: Mapping[str, Mapping[str, JsonValue]]
) -> list[str]:
    """What tasks put under ``warnings`` of their metrics and extensions into their results, each
    with the name of the step or extension, and once however many shards repeat it."""
    found: dict[str, None] = {}
    for stage in stages:
        for receipt in stage.outputs.receipts():
            found.update(dict.fromkeys(_warnings(_step_of(stage.name), receipt.metrics)))
    for name, results in extensions.items():
        found.update(dict.fromkeys(_warnings(name, results)))
    return list(found)


def _warnings(name: str, metrics: Mapping[str, JsonValue]) -> list[str]:
    found = metrics.get(WARNINGS, [])
    return [f"{name}: {text}" for text in (found if isinstance(found, list) else [found])]


def _step_of(stage: str) -> str:
    """``keep`` of ``keep.reduce``."""
    return re.sub(r"\.(map|reduce)$", "", stage)
