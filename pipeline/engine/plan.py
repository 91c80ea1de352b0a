"""What a run would do, stage by stage, and why.

A task is done when its receipt carries the fingerprint that its manifest, code and input have now,
and the files it lists are there unchanged. Everything else is compared with the plan of the last
run, to say which field it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.engine.commit import write_atomically
from pipeline.engine.graph import Graph, build_graph
from pipeline.engine.stage import Receipt, Stage, StageOutputs, Task
from pipeline.errors import Refusal
from pipeline.manifest import Manifest
from pipeline.sources.source import DigestCache, Shard

Status = Literal["reuse", "run", "blocked"]


@dataclass(frozen=True)
class PlannedStage:
    """``pending`` are the tasks without a valid receipt; ``seconds`` is what they took last time,
    scaled by bytes, None when never measured."""

    stage: Stage
    status: Status
    why: str
    pending: tuple[Task, ...]
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    manifest: Manifest
    graph: Graph
    shards: tuple[Shard, ...]
    stages: tuple[PlannedStage, ...]
    digests: DigestCache

    @property
    def pending_bytes(self) -> int:
        return sum(task.bytes for planned in self.stages[:1] for task in planned.pending)


def make_plan(manifest: Manifest) -> Plan:
    """Freeze the input and compare it and the manifest with what is committed.

    Writes nothing. Raises Refusal when a source has nothing to read or may not be read.
    """
    digests = _load_digests(manifest.output)
    shards: list[Shard] = []
    for name, source in manifest.sources.items():
        shards += source.freeze(name, manifest.folder, digests)
    _check_inputs(manifest, shards)
    graph = build_graph(manifest, shards)
    last = load_json(manifest.output / "plan.json").get("stages", {})
    timings = load_json(manifest.output / "timings.json")
    planned: list[PlannedStage] = []
    for stage in graph.stages:
        planned.append(_plan_stage(stage, last, timings, planned, digests))
    return Plan(manifest, graph, tuple(shards), tuple(planned), digests)


def _check_inputs(manifest: Manifest, shards: Sequence[Shard]) -> None:
    """A source must not read what the run itself writes."""
    output = manifest.output.resolve()
    for shard in shards:
        for path, _ in shard.files:
            if Path(path).resolve().is_relative_to(output):
                raise Refusal(
                    "input-in-output",
                    f"source {shard.source!r} reads {path}, which is in the output folder",
                    "write elsewhere with --output, or narrow the source's paths",
                )


def _plan_stage(
    stage: Stage,
    last: Mapping[str, Any],
    timings: Mapping[str, Any],
    earlier: list[PlannedStage],
    digests: DigestCache,
) -> PlannedStage:
    faults = {task.key: _fault(stage, task, digests) for task in stage.tasks}
    pending = tuple(task for task in stage.tasks if faults[task.key])
    if not pending:
        return PlannedStage(stage, "reuse", "", (), 0.0)
    upstream = {p.stage.fingerprint: p for p in earlier if p.status == "run"}
    follows = [upstream[fp].stage.name for fp in stage.after if fp in upstream]
    why = _explain(stage, last.get(base_name(stage.name)), follows)
    if not why:
        why = next(fault for fault in faults.values() if fault)
        if len(pending) < len(stage.tasks):
            why = f"{len(pending)} of {len(stage.tasks)} tasks: {why}"
    timing = timings.get(base_name(stage.name))
    share = sum(t.bytes for t in pending) / max(1, sum(t.bytes for t in stage.tasks))
    seconds = None if timing is None else timing * (share or len(pending) / len(stage.tasks))
    return PlannedStage(stage, "run", why, pending, seconds)


def base_name(name: str) -> str:
    """A stage's name without its number, which moves when steps are put in before it."""
    return name.partition("-")[2]


def _explain(stage: Stage, before: Mapping[str, Any] | None, follows: list[str]) -> str:
    """Why a stage is not what the last run made: the fields that changed, or what it follows."""
    if before is None or before["fingerprint"] == stage.fingerprint:
        # Same fingerprint and still pending: then a receipt or an output is the reason.
        return "" if before else "new"
    changes = list(_changes(before["parameters"], _plain(stage.parameters)))
    if changes:
        return "; ".join(changes)
    if before["code"] != stage.code:
        return "code or a library changed"
    if follows:
        return "follows from " + ", ".join(follows)
    return "input changed"


def _changes(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = f"{path}.{key}" if path else key
            if key not in now:
                yield f"{inner} removed"
            elif key not in before:
                yield f"{inner} added"
            else:
                yield from _changes(before[key], now[key], inner)
    elif before != now:
        yield f"{path}: {json.dumps(before)} → {json.dumps(now)}"


def _fault(stage: Stage, task: Task, digests: DigestCache) -> str:
    """Why a task's receipt does not hold; "" when it does."""
    path = StageOutputs(stage.folder, (task.key,)).receipt_path(task.key)
    if not path.exists():
        return "not done yet"
    try:
        receipt = Receipt.model_validate_json(path.read_bytes())
    except ValueError:
        return f"the receipt of {task.label} cannot be read"
    if receipt.fingerprint != task.fingerprint:
        return f"input of {task.label} changed"
    for output in receipt.outputs:
        path = stage.folder / output.path
        if not path.exists():
            return f"output {output.path} is gone"
        if path.stat().st_size != output.bytes or digests.digest(path) != output.sha256:
            return f"output {output.path} was changed"
    return ""


def save_plan(plan: Plan) -> None:
    """Remember what this run is made from, for the next plan to compare with."""
    stages = {
        base_name(stage.name): {
            "name": stage.name,
            "folder": stage.folder.name,
            "fingerprint": stage.fingerprint,
            "parameters": _plain(stage.parameters),
            "code": stage.code,
            "tasks": {task.key: task.fingerprint for task in stage.tasks},
        }
        for stage in plan.graph.stages
    }
    text = json.dumps({"schema_version": 1, "stages": stages}, indent=1, sort_keys=True)
    write_atomically(plan.manifest.output / "plan.json", text + "\n")
    save_digests(plan)


def save_digests(plan: Plan) -> None:
    write_atomically(plan.manifest.output / "digests.json", json.dumps(plan.digests.known))


def save_timing(output: Path, stage: Stage, seconds: float) -> None:
    """Remember how long a whole stage took, for the next plan's estimate."""
    timings = load_json(output / "timings.json") | {base_name(stage.name): round(seconds, 3)}
    write_atomically(output / "timings.json", json.dumps(timings, indent=1, sort_keys=True))


def check_space(plan: Plan) -> None:
    """Refuse a run that cannot fit: kept, dropped and mapped rows each hold the text once."""
    free = shutil.disk_usage(plan.manifest.output).free
    if free < plan.pending_bytes * 2:
        raise Refusal(
            "disk-too-small",
            f"{plan.pending_bytes / 1e6:.0f} MB of input are to be processed and only "
            f"{free / 1e6:.0f} MB are free under {plan.manifest.output}",
            "free some space or name another folder with --output",
        )


def _load_digests(output: Path) -> DigestCache:
    known = load_json(output / "digests.json")
    return DigestCache({path: (a, b, c, d) for path, (a, b, c, d) in known.items()})


def load_json(path: Path) -> dict[str, Any]:
    """What winnow noted to save time; {} when it is missing or unreadable: that costs only time."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
