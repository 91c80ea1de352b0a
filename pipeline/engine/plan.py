"""What a run would do, stage by stage, and why.

A task is done when the store has its receipt, under the fingerprint that its versions, parameters
and input have now, and the files it lists are there unchanged. What a stage gives decides what
follows, so the fingerprints of later tasks are known only once the earlier ones are done: a plan
says of them that they depend on that, and a run plans again after every stage.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.engine.cache import Cache
from pipeline.engine.commit import write_atomically
from pipeline.engine.explain import Explainer, StagePlan, load_plan, record
from pipeline.engine.graph import Graph, build_graph
from pipeline.engine.old_run import refuse_old_run
from pipeline.engine.stage import Stage, Task
from pipeline.engine.store import PLAN, fault
from pipeline.errors import Refusal
from pipeline.manifest import Manifest
from pipeline.sources.source import Shard
from pipeline.sources.storage import is_url

Status = Literal["reuse", "run", "depends"]


@dataclass(frozen=True)
class PlannedStage:
    """``pending`` are the tasks to run, with fingerprints, and ``waiting`` those whose input is
    not made yet: they are reused if it turns out as before. ``seconds`` is what the stage is going
    to take by how long it took; None when it never ran. ``changes`` are the causes in the stage
    itself, ``follows`` the earlier stages that are not done."""

    stage: Stage
    status: Status
    why: str
    pending: tuple[Task, ...]
    waiting: tuple[Task, ...]
    seconds: float | None
    changes: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """``stages`` are as far as is known now; ``explainer`` says why each is as it is."""

    manifest: Manifest
    graph: Graph
    shards: tuple[Shard, ...]
    stages: tuple[PlannedStage, ...]
    cache: Cache
    explainer: Explainer

    @property
    def pending_bytes(self) -> int:
        reading = [planned for planned in self.stages if planned.stage.kind == "read"]
        return sum(t.bytes for planned in reading for t in (*planned.pending, *planned.waiting))


def make_plan(manifest: Manifest) -> Plan:
    """Freeze the input and compare it and the manifest with what is in the store.

    Writes nothing. Raises Refusal when a source has nothing to read or may not be read.
    """
    refuse_old_run(manifest.output)
    cache = Cache(manifest.store)
    shards: list[Shard] = []
    for name, source in manifest.sources.items():
        shards += map(cache.seen, source.freeze(name, manifest.folder))
    _check_inputs(manifest, shards)
    graph = build_graph(manifest, shards)
    explainer = Explainer(load_plan(manifest.output), manifest.values, cache, manifest)
    planned: list[PlannedStage] = []
    for stage in graph.stages:
        planned.append(plan_stage(stage, cache, explainer, planned))
    return Plan(manifest, graph, tuple(shards), tuple(planned), cache, explainer)


def _check_inputs(manifest: Manifest, shards: Sequence[Shard]) -> None:
    """A source must not read what the run itself writes."""
    written = {
        "output folder": os.path.join(manifest.output.resolve(), ""),
        "store": os.path.join(manifest.store.resolve(), ""),
    }
    resolved = _resolver()
    for shard in shards:
        for path in (p.file.path for p in shard.parts if not is_url(p.file.path)):
            real = resolved(path)
            for what, folder in written.items():
                if real.startswith(folder):
                    raise Refusal(
                        "input-in-output",
                        f"source {shard.source!r} reads {path}, which is in the {what}",
                        "write elsewhere with --output, or narrow the source's paths",
                    )


def _resolver() -> Callable[[str], str]:
    """``os.path.realpath`` for thousands of files: one look at each file and each folder."""

    @functools.cache
    def folder(path: str) -> str:
        return resolved(path)

    def resolved(path: str) -> str:
        parent, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir) or os.path.islink(path):
            return os.path.realpath(path)
        return os.path.join(folder(parent), name)

    return resolved


def plan_stage(
    stage: Stage, cache: Cache, explainer: Explainer, earlier: Sequence[PlannedStage]
) -> PlannedStage:
    """What is to be done of a stage, by what is committed now."""
    pending, waiting, faults = [], [], {}
    stage.outputs.missing.update(task.key for task in stage.tasks if task.is_lost)
    going_on = (task for task in stage.tasks if task.key not in stage.outputs.missing)
    for place, task in enumerate(going_on):
        ready = stage.resolve(task, place)
        if ready is None:
            waiting.append(task)
        elif wrong := fault(stage.outputs.store, ready.fingerprint, cache.digest):
            pending.append(ready)
            faults[task.key] = wrong
    if not pending and not waiting:
        return PlannedStage(stage, "reuse", "", (), (), 0.0)
    open_before = {p.stage.name for p in earlier if p.status != "reuse"}
    follows = [name for name in stage.after if name in open_before]
    found = StagePlan(stage, tuple(pending), tuple(waiting), faults, tuple(follows))
    changes = tuple(explainer.changes(found))
    why = explainer.why(found)
    status: Status = "run"
    if waiting and not pending and not changes and explainer.knows(stage):
        status = "depends"
        why += "; reused if that gives the same"
    return PlannedStage(
        stage=stage,
        status=status,
        why=why,
        pending=tuple(pending),
        waiting=tuple(waiting),
        seconds=cache.seconds(stage.name, sum(task.weight for task in (*pending, *waiting))),
        changes=changes,
        follows=tuple(follows),
    )


def root_causes(plan: Plan, name: str) -> list[str]:
    """Why a stage is not reused, down to the fields, files or versions that changed: a line for
    each step back from it. Raises Refusal when there is no such stage."""
    stages = {planned.stage.name: planned for planned in plan.stages}
    if name not in stages:
        message = f"there is no stage {name!r}"
        raise Refusal("unknown-stage", message, f"the stages: {', '.join(stages)}")
    if stages[name].status == "reuse":
        return [f"{name} is reused"]
    lines, todo, seen = [], [name], set[str]()
    while todo:
        planned = stages[todo.pop(0)]
        if planned.stage.name in seen:
            continue
        seen.add(planned.stage.name)
        # Where it follows from others, their changes are the cause of what it reads.
        lines.append(f"{planned.stage.name}: {planned.why}")
        todo += planned.follows
    return lines


def save_plan(plan: Plan, *, complete: bool = False) -> None:
    """Remember what this run is made from: for the next plan to compare with, and for garbage
    collection to know what is referred to. What the run before referred to stays referred to
    until this one is complete."""
    stages = {stage.name: record(stage) for stage in plan.graph.stages}
    saved = {
        "schema_version": 2,
        "manifest": plan.manifest.values,
        "store": os.path.relpath(plan.manifest.store.absolute(), plan.manifest.output.absolute()),
        "order": [stage.name for stage in plan.graph.stages],
        "code": plan.explainer.code,
        "stages": stages,
        "before": [] if complete else sorted(plan.explainer.referred),
    }
    text = json.dumps(saved, indent=1, sort_keys=True, default=str)
    write_atomically(plan.manifest.output / PLAN, text + "\n")


def check_space(plan: Plan) -> None:
    """Refuse a run that cannot fit: kept, dropped and mapped rows each hold the text once."""
    store = plan.manifest.store
    free = shutil.disk_usage(store).free
    if free < plan.pending_bytes * 2:
        raise Refusal(
            "disk-too-small",
            f"{plan.pending_bytes / 1e6:.0f} MB of input are to be processed and only "
            f"{free / 1e6:.0f} MB are free under {store}",
            "free some space or name another folder with --set store=DIR",
        )
