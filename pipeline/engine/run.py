"""Runs a plan: stage after stage, each task once, and says what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from pipeline.console import Console, Stopwatch
from pipeline.engine.commit import write_atomically
from pipeline.engine.corpus import CORPUS, link_artifacts, link_corpus
from pipeline.engine.fingerprint import digest
from pipeline.engine.lock import Fence, hold
from pipeline.engine.old_run import refuse_old_run
from pipeline.engine.plan import (
    Plan,
    PlannedStage,
    check_space,
    make_plan,
    plan_stage,
    save_plan,
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
from pipeline.engine.row_tasks import ARTIFACTS, REDUCED, RowTask
from pipeline.engine.slow_tasks import SilentTasks
from pipeline.engine.stage import QUARANTINE, Counts, Stage
from pipeline.engine.store import use
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.worker import Failure, Job, read_progress
from pipeline.errors import Refusal
from pipeline.manifest import Manifest
from pipeline.sources.bad_rows import BadRows, shard_fault

SCRATCH = "scratch"
# Kinds of stages with a task for each shard, or for each file of which shards are parts.
SHARDWISE = ("index", "read", "map ", "apply ", "corpus")
SHOWN = 5  # failed shards that a warning names


@dataclass
class _Progress:
    """What a run has done so far; ``allowed`` are failures of shards that it goes on without."""

    planned: list[PlannedStage] = field(default_factory=list)
    stages: list[StageResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    allowed: list[Failure] = field(default_factory=list)


def run(
    manifest: Manifest, console: Console | None = None, *, retry_failed: bool = False
) -> RunResults:
    """Do what the manifest asks for and is not done yet; write results and report.

    With ``retry_failed``, the stage in which shards failed takes up those alone; shards that are
    new since then wait for the next run. Raises Refusal (nothing ran) when the output is locked,
    not writable, or the input unusable. Faults of shards do not raise: they are in ``failures``,
    and ``exit_code`` is 1.
    """
    refuse_old_run(manifest.output)
    with hold(manifest.output) as fence, _using(manifest):
        logs = manifest.output / "logs"
        with console or Console(logs) as shown:
            return _Run(manifest, fence, shown, logs, retry_failed).run()


@contextmanager
def _using(manifest: Manifest) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(use(manifest.store, manifest.output))
        except OSError as error:
            message = f"cannot write to the store {manifest.store}: {error.strerror}"
            hint = "name another folder with --set store=DIR, or make this one writable"
            raise Refusal("store-not-writable", message, hint) from error
        yield


class _Run:
    """One run from its plan to its results."""

    def __init__(
        self, manifest: Manifest, fence: Fence, console: Console, logs: Path, retry_failed: bool
    ) -> None:
        self.manifest = manifest
        self.fence = fence
        self.console = console
        self.logs = logs
        self.retry = _failed_before(manifest.output) if retry_failed else {}
        self.watch = Stopwatch()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.temporary = manifest.store / "tmp" / output_name(manifest.output)
        self.progress = _Progress()

    def run(self) -> RunResults:
        self.sweep()
        plan = make_plan(self.manifest)
        check_space(plan)
        save_plan(plan)
        for warning in plan.explainer.warnings():
            self.console.event("code-changed", warning=warning)
        try:
            self.stages(plan)
        except BaseException:
            self.interrupted(plan)
            raise
        finally:
            plan.cache.save()
        save_plan(plan, complete=not self.progress.failures)
        results = self.results(plan)
        if not _stands(self.manifest.output, results):
            _write(self.manifest, plan, results)
        self.ended(results)
        return results

    def interrupted(self, plan: Plan) -> None:
        """Leave word of what was done when the run is stopped from outside."""
        results = self.results(plan)
        results = results.model_copy(update={"status": "interrupted", "exit_code": 130})
        write_atomically(self.manifest.output / RESULTS, results.model_dump_json(indent=1) + "\n")
        self.ended(results)

    def ended(self, results: RunResults) -> None:
        self.console.event("run-ended", status=results.status, seconds=results.seconds)

    def supervisor(self) -> Supervisor:
        return Supervisor(self.manifest.executor, self.logs)

    def stages(self, plan: Plan) -> None:
        done = self.progress
        with self.supervisor() as supervisor:
            for known in plan.stages:
                if done.failures:
                    done.stages.append(_result(known, "blocked", 0.0))
                    continue
                planned = known
                if known.status != "reuse" or any(known.stage.outputs.missing):
                    planned = plan_stage(known.stage, plan.cache, plan.explainer, done.planned)
                done.planned.append(planned)
                if planned.status == "reuse":
                    done.stages.append(_result(planned, "reused", 0.0))
                    self.console.event("stage-reused", stage=planned.stage.name)
                else:
                    self.stage(plan, planned, supervisor)
                if not done.failures:
                    self.links(plan, planned.stage)
                for failure in _gates(plan, planned.stage, done.failures):
                    done.failures.append(failure)
                    self.console.failure(failure)

    def links(self, plan: Plan, stage: Stage) -> None:
        """Give what a stage left a path in the run's folder."""
        output = self.manifest.output
        if stage is plan.graph.corpus:
            link_corpus(output, stage)
        for label, reduced in plan.graph.reductions.items():
            if reduced is stage:
                link_artifacts(output, label, stage.outputs.folder(REDUCED) / ARTIFACTS)

    def stage(self, plan: Plan, planned: PlannedStage, supervisor: Supervisor) -> None:
        """Run what is pending of a stage."""
        watch = Stopwatch()
        planned = self.retried(planned)
        save_plan(plan)  # now that the fingerprints of this stage are known, for ``winnow status``
        failures = self.tasks(plan, planned, supervisor)
        allowed = self.allowed(planned.stage, failures)
        (self.progress.allowed if allowed else self.progress.failures).extend(failures)
        planned.stage.outputs.missing.update(f.key for f in failures if allowed)
        status = "failed" if failures and not allowed else "done"
        self.progress.stages.append(_result(planned, status, watch.seconds))
        _remember_outputs(plan, planned)
        note = _note(planned.stage)
        self.console.stage_ended(planned.stage.name, status, watch.seconds, note)
        if not failures:
            effort = sum(task.weight for task in planned.pending)
            plan.cache.took(planned.stage.name, watch.seconds, effort)

    def retried(self, planned: PlannedStage) -> PlannedStage:
        """With ``retry_failed``: of a stage in which shards failed, those alone."""
        failed = self.retry.get(planned.stage.name)
        if failed is None or not planned.stage.kind.startswith(SHARDWISE):
            return planned
        again = tuple(task for task in planned.pending if task.key in failed)
        planned.stage.outputs.missing.update(
            task.key for task in planned.pending if task.key not in failed
        )
        return replace(planned, pending=again)

    def allowed(self, stage: Stage, failures: Sequence[Failure]) -> bool:
        """Whether the run may go on without the shards that failed."""
        shards = {failure.key for failure in (*self.progress.allowed, *failures)}
        may = stage.kind.startswith(SHARDWISE)
        return may and len(shards) <= self.manifest.gates.max_failed_shards

    def tasks(self, plan: Plan, planned: PlannedStage, supervisor: Supervisor) -> list[Failure]:
        stage = planned.stage
        number, stages = len(self.progress.planned), len(plan.stages)
        self.console.stage_started(stage.name, len(planned.pending), planned.why, number, stages)
        scratch = self.manifest.output / SCRATCH
        job = Job(
            stage.name, stage.outputs.store, planned.pending, self.temporary, scratch, self.fence
        )

        silent = SilentTasks(job)
        finished: set[str] = set()

        def watch() -> None:
            for sentence in silent.found():
                self.console.event("task-silent", message=sentence)
                self.console.print(sentence)
            # Only those that had no receipt yet: this is asked several times a second.
            waiting = (key for key in job.labels if key not in finished)
            finished.update([key for key in waiting if stage.outputs.find(key) is not None])
            progress = read_progress(scratch)
            begun = [progress[key] for key in progress.keys() - finished]
            parts = sum(min(1.0, done / total) for done, total in begun if total)
            self.console.stage_progress(len(finished) + parts)

        failures = supervisor.run(job, watch) if planned.pending else []
        for failure in failures:
            self.console.failure(failure)
        return failures

    def sweep(self) -> None:
        """Remove what a killed run left half-written; the lock says that nobody is writing now."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        shutil.rmtree(self.manifest.output / SCRATCH, ignore_errors=True)

    def results(self, plan: Plan) -> RunResults:
        """What came of it, as far as it got."""
        manifest, progress = self.manifest, self.progress
        done = {r.name for r in progress.stages if r.status in ("reused", "done")}
        extensions: dict[str, dict[str, JsonValue]] = {
            name: manifest.extensions[name].results(stages)
            for name, stages in plan.graph.extensions.items()
            if stages and all(stage.name in done for stage in stages)
        }
        ids, duplicates = plan.graph.ids, None
        if ids.name in done:
            duplicates = ids.outputs.receipt("ids").metrics["duplicate_ids"]
        assert duplicates is None or isinstance(duplicates, int)
        failed = bool(progress.failures)
        documents, unfinished = whole_funnel(plan.graph.stages)
        has_corpus = plan.graph.corpus.name in done
        return RunResults(
            winnow=version("winnow"),
            name=manifest.name,
            manifest_path=str(manifest.path),
            manifest=manifest.values,
            status="failed" if failed else "done",
            exit_code=1 if failed else 0,
            started=self.started,
            seconds=round(self.watch.seconds, 2),
            store=str(manifest.store),
            corpus=str(manifest.output / CORPUS) if has_corpus else None,
            documents=documents,
            unfinished=unfinished,
            warnings=[
                *_missing(progress.allowed),
                *plan.explainer.warnings(),
                *warnings_of(plan.graph.stages, extensions),
            ],
            duplicate_ids=duplicates,
            stages=progress.stages,
            failures=[_failure(f) for f in (*progress.allowed, *progress.failures)],
            extensions=extensions,
        )


def output_name(output: Path) -> str:
    """Tells an output folder from others, in names of files."""
    return digest(str(output.absolute()))[:16]


def _failed_before(output: Path) -> dict[str, set[str]]:
    """Stage → keys of the tasks that failed in the last run. Raises Refusal when none did."""
    failed: dict[str, set[str]] = {}
    for failure in load_results(output).failures:
        failed.setdefault(failure.stage, set()).add(failure.key)
    if not failed:
        message = f"no shard failed in the last run into {output}"
        raise Refusal("nothing-failed", message, "leave --retry-failed out")
    return failed


def _missing(allowed: Sequence[Failure]) -> list[str]:
    """A sentence on the shards that the run went on without."""
    if not allowed:
        return []
    named = ", ".join(f"{failure.label} ({failure.code})" for failure in allowed[:SHOWN])
    more = f" and {len(allowed) - SHOWN} more" if len(allowed) > SHOWN else ""
    shards = "shard is" if len(allowed) == 1 else "shards are"
    return [f"the documents of {len(allowed)} failed {shards} missing from all that follows: "
            f"{named}{more}; winnow run --retry-failed takes them up again"]  # fmt: skip


def _failure(failure: Failure) -> FailureResult:
    return FailureResult(
        stage=failure.stage,
        key=failure.key,
        task=failure.label or failure.key,
        code=failure.code,
        message=failure.message,
        hint=failure.hint,
    )


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


def _remember_outputs(plan: Plan, planned: PlannedStage) -> None:
    """Spare the next plan from reading what was hashed a moment ago, and nothing older."""
    outputs = planned.stage.outputs
    for task in planned.pending:
        receipt = outputs.find(task.key)
        for found in receipt.outputs if receipt is not None else ():
            with suppress(FileNotFoundError):  # another run may have begun to make it anew
                plan.cache.remember(outputs.folder(task.key) / found.path, found.sha256)
        if receipt is not None and isinstance(task.spec, RowTask):
            plan.cache.saw(task.spec.shard, receipt.inputs)


def _unacceptable_shards(stage: Stage) -> Iterator[Failure]:
    """Shards with more bad rows than their source accepts now, or without any row.

    What it accepts is no part of what a shard's results are named after, so a run that accepted
    more may have left them.
    """
    for task in stage.tasks:
        receipt = stage.outputs.find(task.key)
        if not isinstance(task.spec, RowTask) or receipt is None or receipt.counts is None:
            continue
        source, shard, counts = task.spec.source, task.spec.shard, receipt.counts
        bad = BadRows({shard.source: source})
        if sum(counts.quarantined.values()) > source.max_bad * counts.rows:
            bad.add_files(stage.outputs.outputs(QUARANTINE, task.key))
        if error := shard_fault(source, shard, bad, counts.rows):
            yield Failure(stage.name, task.key, task.label, error.code, error.message, error.hint)


def _nothing_left(plan: Plan, stage: Stage, counts: Counts) -> tuple[str, str]:
    """Where all rows of a stage went, and what may help."""
    bad = BadRows(plan.manifest.sources)
    bad.add_files(stage.outputs.outputs(QUARANTINE))
    dropped = [
        f"{step}:{reason} dropped {tally.documents}"
        for step, found in counts.dropped.items()
        for reason, tally in found.items()
    ]
    message = f"none of {counts.rows} rows is left: {'; '.join(filter(None, (str(bad), *dropped)))}"
    remedy = "loosen the step that drops most" if dropped else "mend the files"
    return message, f"{remedy}, or set gates.allow_empty: true"


def _gates(plan: Plan, stage: Stage, failures: Sequence[Failure]) -> list[Failure]:
    """Faults that only a whole stage shows."""
    gates = plan.manifest.gates
    if failures:
        return []
    if bad := list(_unacceptable_shards(stage)):
        return bad
    counts = stage_counts(stage)
    if counts and counts.rows and not counts.kept.documents and not gates.allow_empty:
        message, hint = _nothing_left(plan, stage, counts)
        return [Failure(stage.name, "gate", stage.name, "nothing-left", message, hint)]
    if gates.unique_id and stage is plan.graph.ids:
        metrics = stage.outputs.receipt("ids").metrics
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
            "fingerprint": stage.fingerprint,
            "status": status,
            "why": planned.why,
            "tasks": len(stage.tasks),
            "tasks_done": len(stage.outputs.receipts()),
            "seconds": round(seconds, 3),
            "counts": stage_counts(stage),
        }
    )


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
