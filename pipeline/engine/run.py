"""Runs a plan: stage after stage, each task once, and says what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pipeline.console import Console, Stopwatch
from pipeline.engine.commit import write_atomically
from pipeline.engine.lock import Fence, hold
from pipeline.engine.plan import (
    Plan,
    PlannedStage,
    check_space,
    make_plan,
    save_digests,
    save_plan,
    save_timing,
)
from pipeline.engine.provenance import Environment
from pipeline.engine.results import (
    REPORT,
    RESULTS,
    FailureResult,
    RunResults,
    StageResult,
    compared_with,
    stage_counts,
    warnings_of,
    whole_funnel,
)
from pipeline.engine.stage import Stage
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.worker import Failure, Job, read_progress
from pipeline.errors import Refusal
from pipeline.manifest import Manifest

SCRATCH = "scratch"


@dataclass
class _Progress:
    """What a run has done so far."""

    stages: list[StageResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def run(manifest: Manifest, console: Console | None = None) -> RunResults:
    """Do what the manifest asks for and is not done yet; write results and report.

    Raises Refusal (nothing ran) when the output is locked, not writable, or the input unusable.
    Faults of shards do not raise: they are in ``failures``, and ``exit_code`` is 1.
    """
    with hold(manifest.output) as fence:
        logs = manifest.output / "logs"
        with console or Console(logs) as shown:
            watch = Stopwatch()
            started = datetime.now(UTC).isoformat(timespec="seconds")
            _sweep(manifest.output)
            plan = make_plan(manifest)
            check_space(plan)
            save_plan(plan)
            progress = _run_stages(plan, fence, shown, logs)
            save_digests(plan)
            results = _results(plan, progress, started, watch.seconds)
            if not _stands(manifest.output, results):
                _write(manifest, plan, results)
            shown.event("run-ended", status=results.status, seconds=round(watch.seconds, 2))
            return results


def _write(manifest: Manifest, plan: Plan, results: RunResults) -> None:
    # Imported here: drawing charts takes a second to load, and a reused run draws none.
    from pipeline.report.write import write_report

    results.environment = Environment.of(manifest.path)
    with suppress(Refusal):  # no run before this one, or one of an older winnow
        results.last_run = compared_with(load_results(manifest.output), results)
    write_atomically(manifest.output / RESULTS, results.model_dump_json(indent=1) + "\n")
    write_report(manifest, plan.graph, results)


def _stands(output: Path, results: RunResults) -> bool:
    """Whether the last results and report say all there is to say: the same stages, all of them
    reused now. They tell what those stages cost, which a run that reuses them does not know."""
    if any(stage.status != "reused" for stage in results.stages) or results.failures:
        return False
    if not ((output / RESULTS).exists() and (output / REPORT).exists()):
        return False
    try:
        last = load_results(output)
    except Refusal:
        return False
    made = [(stage.name, stage.fingerprint) for stage in last.stages]
    now = [(stage.name, stage.fingerprint) for stage in results.stages]
    return last.status == "done" and made == now and last.manifest == results.manifest


def _run_stages(plan: Plan, fence: Fence, console: Console, logs: Path) -> _Progress:
    progress = _Progress()
    with Supervisor(plan.manifest.executor.workers, logs) as supervisor:
        for planned in plan.stages:
            if progress.failures:
                progress.stages.append(_result(planned, "blocked", 0.0))
                continue
            if planned.status == "reuse":
                progress.stages.append(_result(planned, "reused", 0.0))
                console.event("stage-reused", stage=planned.stage.name)
            else:
                watch = Stopwatch()
                failures = _run_stage(plan, planned, supervisor, fence, console)
                progress.failures += failures
                status = "failed" if failures else "done"
                progress.stages.append(_result(planned, status, watch.seconds))
                _remember_outputs(plan, planned, failures)
                note = _note(planned.stage)
                console.stage_ended(planned.stage.name, status, watch.seconds, note)
                if not failures and len(planned.pending) == len(planned.stage.tasks):
                    save_timing(plan.manifest.output, planned.stage, watch.seconds)
            for failure in _gates(plan, planned.stage, progress.failures):
                progress.failures.append(failure)
                console.failure(failure)
    return progress


def _run_stage(
    plan: Plan, planned: PlannedStage, supervisor: Supervisor, fence: Fence, console: Console
) -> list[Failure]:
    stage = planned.stage
    console.stage_started(stage.name, len(planned.pending), planned.why)
    scratch = plan.manifest.output / SCRATCH
    job = Job(stage.name, stage.folder, planned.pending, scratch, fence)

    def watch() -> None:
        receipts = sum(stage.committed.receipt_path(t.key).exists() for t in planned.pending)
        parts = [done / total for done, total in read_progress(scratch).values() if total]
        console.stage_progress(receipts + sum(part for part in parts if part < 1))

    failures = supervisor.run(job, watch)
    for failure in failures:
        console.failure(failure)
    return failures


def _remember_outputs(plan: Plan, planned: PlannedStage, failures: Sequence[Failure]) -> None:
    """Spare the next plan from reading what was hashed a moment ago, and nothing older."""
    failed = {failure.key for failure in failures}
    committed = planned.stage.committed
    for task in planned.pending:
        if task.key not in failed:
            for output in committed.receipt(task.key).outputs:
                plan.digests.remember(committed.folder / output.path, output.sha256)


def _gates(plan: Plan, stage: Stage, failures: Sequence[Failure]) -> list[Failure]:
    """Faults that only a whole stage shows."""
    gates = plan.manifest.gates
    if failures:
        return []
    counts = stage_counts(stage)
    if counts and counts.rows and not counts.kept.documents and not gates.allow_empty:
        reasons = {
            f"{step}:{reason}": tally.documents
            for step, found in counts.dropped.items()
            for reason, tally in found.items()
        }
        message = f"none of {counts.rows} documents is left; dropped by {reasons}"
        hint = "loosen the step that drops most, or set gates.allow_empty: true"
        return [Failure(stage.name, "gate", stage.name, "nothing-left", message, hint)]
    if gates.unique_id and stage is plan.graph.ids:
        metrics = stage.committed.receipt("ids").metrics
        if metrics["duplicate_ids"]:
            message = (
                f"{metrics['duplicate_ids']} documents repeat an id, such as {metrics['examples']}"
            )
            hint = "mend the ids, or set gates.unique_id: false; rows are told apart by place"
            return [Failure(stage.name, "gate", stage.name, "duplicate-ids", message, hint)]
    return []


def _note(stage: Stage) -> str:
    counts = stage_counts(stage)
    if counts is None:
        return ""
    return f"kept {counts.kept.documents:,} of {counts.rows:,}"


def _result(planned: PlannedStage, status: str, seconds: float) -> StageResult:
    stage = planned.stage
    return StageResult.model_validate(
        {
            "name": stage.name,
            "folder": f"stages/{stage.folder.name}",
            "fingerprint": stage.fingerprint,
            "status": status,
            "why": planned.why,
            "tasks": len(stage.tasks),
            "tasks_done": len(stage.committed.receipts()),
            "seconds": round(seconds, 3),
            "counts": stage_counts(stage),
        }
    )


def _results(plan: Plan, progress: _Progress, started: str, seconds: float) -> RunResults:
    manifest = plan.manifest
    done = {r.fingerprint for r in progress.stages if r.status in ("reused", "done")}
    complete = [stage for stage in plan.graph.stages if stage.fingerprint in done]
    extensions = {
        name: manifest.extensions[name].results(stages)
        for name, stages in plan.graph.extensions.items()
        if stages and all(stage.fingerprint in done for stage in stages)
    }
    ids = plan.graph.ids
    duplicates = ids.committed.receipt("ids").metrics["duplicate_ids"] if ids in complete else None
    assert duplicates is None or isinstance(duplicates, int)
    failed = bool(progress.failures)
    documents, unfinished = whole_funnel(plan.graph.stages)
    return RunResults(
        winnow=version("winnow"),
        name=manifest.name,
        manifest_path=str(manifest.path),
        manifest=manifest.values,
        status="failed" if failed else "done",
        exit_code=1 if failed else 0,
        started=started,
        seconds=round(seconds, 2),
        documents=documents,
        unfinished=unfinished,
        warnings=warnings_of(plan.graph.stages, extensions),
        duplicate_ids=duplicates,
        stages=progress.stages,
        failures=[
            FailureResult(
                stage=f.stage, task=f.label or f.key, code=f.code, message=f.message, hint=f.hint
            )
            for f in progress.failures
        ],
        extensions=extensions,
    )


def _sweep(output: Path) -> None:
    """Remove what a killed run left half-written; the lock says that nobody is writing now."""
    for leftover in (output / "stages").glob("*/tmp"):
        shutil.rmtree(leftover)
    shutil.rmtree(output / SCRATCH, ignore_errors=True)


def load_results(output: Path) -> RunResults:
    """The results of the last run into ``output``. Raises Refusal when there are none."""
    path = output / RESULTS
    if not path.exists():
        raise Refusal("no-results", f"{path} does not exist", "run the manifest first: winnow run")
    try:
        return RunResults.model_validate_json(path.read_bytes())
    except ValueError as error:
        message = f"{path} cannot be read: {error}"
        raise Refusal("no-results", message, "run the manifest again") from error
