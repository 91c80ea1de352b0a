"""``winnow measure``: a run of its own beside the real one, whose single step drops nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.console import Console
from pipeline.engine.plan import PlannedStage, make_plan
from pipeline.engine.results import RunResults
from pipeline.engine.run import run
from pipeline.engine.stage import KEPT, Stage
from pipeline.errors import Refusal
from pipeline.manifest import Manifest, NamedStep
from pipeline.manifest.manifest import Gates
from pipeline.step import GlobalStep, RowStep
from pipeline.tuning.signals import Measure

FOLDER = "measure"


@dataclass(frozen=True)
class MeasureResult:
    """What ``winnow measure`` did. ``skipped`` are steps that need all documents at once,
    ``left_out`` those that need what the skipped ones would have added."""

    results: RunResults
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]


def measure(manifest: Manifest, console: Console | None = None) -> MeasureResult:
    """Measure what is not measured yet, with the engine's own stages, receipts and reuse.

    Raises Refusal when the manifest has no row steps, and wherever ``run`` does.
    """
    planned = measuring_manifest(manifest)
    results = run(planned, console)
    stage = first_stage(planned).stage
    unmeasured = left_out(manifest, stage) if not results.failures else ()
    return MeasureResult(results, global_steps(manifest), unmeasured)


def measuring_manifest(manifest: Manifest) -> Manifest:
    """The manifest of the run that measures for ``manifest``, into a folder below its output."""
    steps = tuple((n.label, n.step) for n in manifest.steps if isinstance(n.step, RowStep))
    if not steps:
        raise Refusal(
            "nothing-to-measure",
            f"{manifest.path} has no step that filters documents one by one",
            "add a filter to its steps: winnow schema --reference lists them",
        )
    skipped = [n.step for n in manifest.steps if isinstance(n.step, GlobalStep)]
    step = Measure(steps=steps, absent=tuple(name for s in skipped for name in s.adds()))
    return replace(
        manifest,
        name=f"{manifest.name} measured",
        output=manifest.output / FOLDER,
        gates=Gates(allow_empty=True),
        steps=(NamedStep(FOLDER, step, FOLDER),),
        extensions={},
        headline="Measured",
        # Without the thresholds: another one of them leaves the measurements as they are.
        values={"sources": manifest.values["sources"], FOLDER: step.model_dump(mode="json")},
    )


def first_stage(planned: Manifest) -> PlannedStage:
    """The stage that measures, of a ``measuring_manifest``, and whether it is done."""
    return make_plan(planned).stages[0]


def measured_stage(manifest: Manifest, overrides: Sequence[str], output: Path | None) -> Stage:
    """The stage that holds the measurements of ``manifest``.

    Raises Refusal saying what to run when they are missing or of other input, steps or code.
    ``overrides`` are those that the measuring has to be given too.
    """
    planned = first_stage(measuring_manifest(manifest))
    if planned.status != "reuse":
        command = ["winnow", "measure", str(manifest.path)]
        command += [part for text in overrides for part in ("--set", text)]
        command += ["--output", str(output)] if output else []
        done = len(planned.stage.tasks) - len(planned.pending)
        why = planned.why.replace(f"steps.{FOLDER}.", "steps.")
        raise Refusal(
            "not-measured",
            f"{done} of {len(planned.stage.tasks)} shards are measured as this manifest "
            f"is now ({why})",
            f"measure first: {shlex.join(command)}",
        )
    return planned.stage


def global_steps(manifest: Manifest) -> tuple[str, ...]:
    """Labels of the steps that are never measured."""
    return tuple(n.label for n in manifest.steps if isinstance(n.step, GlobalStep))


def left_out(manifest: Manifest, stage: Stage) -> tuple[str, ...]:
    """Labels of the row steps of which nothing is stored."""
    stored = {name for path in stage.outputs.outputs(KEPT) for name in pq.read_schema(path).names}
    return tuple(
        named.label
        for named in manifest.steps
        if isinstance(named.step, RowStep)
        and not any(name.startswith(f"{named.label}.") for name in stored)
    )
