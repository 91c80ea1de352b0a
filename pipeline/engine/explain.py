"""Why a stage is not reused: the field, file or version that changed, with both values.

What a run was made from is kept in its output folder. The same of now is compared with it: the
cause is named as close to the manifest as can be said.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.engine.cache import Cache
from pipeline.engine.fingerprint import CUSTOM, digest
from pipeline.engine.graph import SETTINGS
from pipeline.engine.stage import Stage, Task
from pipeline.engine.store import PLAN, referred
from pipeline.manifest import Manifest

SHOWN = 3  # files or tasks named, of many
ORDER = "order of steps"


@dataclass(frozen=True)
class StagePlan:
    """A stage with what is to be done of it; ``faults`` is key → what is wrong with a pending
    task's receipt, ``follows`` the names of earlier stages that are not done."""

    stage: Stage
    pending: tuple[Task, ...]
    waiting: tuple[Task, ...]
    faults: Mapping[str, str]
    follows: tuple[str, ...]


def load_plan(output: Path) -> dict[str, Any]:
    """What the last run into this folder was made from; {} when it is missing or unreadable,
    since that costs only the explanation."""
    try:
        value = json.loads((output / PLAN).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and value.get("schema_version") == 2 else {}


def record(stage: Stage) -> dict[str, Any]:
    """What a stage is made from, for ``load_plan``."""
    return {
        "kind": stage.kind,
        "steps": stage.steps,
        "parameters": _plain(stage.parameters),
        "versions": dict(stage.versions),
        "tasks": {
            task.key: {
                "label": task.label,
                "fingerprint": stage.outputs.fingerprints.get(task.key, ""),
                "inputs": _inputs(task),
                "parameters": _plain(task.parameters),
            }
            for task in stage.tasks
            if task.key not in stage.outputs.missing
        },
    }


class Explainer:
    """Compares what a run would be made from with ``last``, what the last one was made from."""

    def __init__(
        self, last: Mapping[str, Any], values: Mapping[str, Any], cache: Cache, manifest: Manifest
    ) -> None:
        self._last = last
        self.referred = referred(dict(last))
        self._values = _plain(values)
        self.code = {name: cache.code(path) for name, path in _modules(manifest)}

    def why(self, found: StagePlan) -> str:
        """The cause in a line."""
        before = self._before(found.stage)
        if before is None and not self.changes(found):
            return (
                f"follows from {', '.join(found.follows)}"
                if found.follows and self._last
                else "new"
            )
        if changes := self.changes(found):
            return "; ".join(changes)
        if found.follows:
            return "follows from " + ", ".join(found.follows)
        text = next(iter(found.faults.values()), "its input changed")
        if len(found.pending) < len(found.stage.tasks):
            text = f"{len(found.pending)} of {len(found.stage.tasks)} tasks: {text}"
        return text

    def changes(self, found: StagePlan) -> list[str]:
        """What of the stage itself changed: fields, versions, files; [] when only what it follows
        did, or when there is nothing to compare with."""
        before = self._before(found.stage)
        if before is None:
            return []
        changes = list(_of_steps(before, found.stage))
        changes += _versions(before["versions"], found.stage.versions)
        if not changes:
            changes = list(self._of_tasks(before["tasks"], found))
        return changes

    def warnings(self) -> list[str]:
        """Modules whose code changed although nothing says that their outcome did."""
        before = self._last.get("code", {})
        return [
            f"the code of {name} changed and no version did: what the old code made is reused; "
            "raise the version of its class if the outcome differs"
            for name, found in self.code.items()
            if name in before and before[name] != found
        ]

    def knows(self, stage: Stage) -> bool:
        """Whether the last run had this stage."""
        return self._before(stage) is not None

    def _before(self, stage: Stage) -> Mapping[str, Any] | None:
        """The stage of the last run that this one takes the place of."""
        stages: Mapping[str, Mapping[str, Any]] = self._last.get("stages", {})
        if stage.name in stages:
            return stages[stage.name]
        # The names of stages of several steps change with the steps.
        return next((other for other in stages.values() if other["kind"] == stage.kind), None)

    def _of_tasks(self, before: Mapping[str, Any], found: StagePlan) -> Iterator[str]:
        tasks = [*found.pending, *found.waiting]
        new = [task for task in tasks if task.key not in before]
        for task in tasks:
            if (old := before.get(task.key)) is not None:
                yield from _differences(old["parameters"], _plain(task.parameters))
                yield from self._inputs(old["inputs"], _inputs(task))
        by_label = {old["label"]: old for old in before.values()}
        unknown = []
        for task in new:
            old = by_label.get(task.label)
            if old is None:
                unknown.append(task.label)
            else:
                yield from self._inputs(old["inputs"], _inputs(task))
        if unknown:
            fields = list(self._fields(found.stage))
            yield "; ".join(fields) if fields else f"new: {_some(unknown)}"

    def _inputs(self, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) == now.get(name):
                continue
            if name == SETTINGS:
                fields = list(_differences(self._manifest("sources"), self._values["sources"]))
                yield from (f"sources.{field}" for field in fields) if fields else [name]
            elif name not in before:
                yield f"{name} added"
            elif name not in now:
                yield f"{name} removed"
            else:
                yield f"{name} changed: {before[name]} → {now[name]}"

    def _fields(self, stage: Stage) -> Iterator[str]:
        """Fields of the manifest that changed, of those that this stage's extension may have."""
        if "." not in stage.name or stage.steps:
            return
        for key in sorted(self._values.keys() | self._last.get("manifest", {}).keys()):
            if key not in ("name", "output", "store", "executor", "gates", "sources", "steps"):
                yield from (
                    f"{key}.{text}" if not text.startswith(key) else text
                    for text in _differences(self._manifest(key), self._values.get(key))
                )

    def _manifest(self, key: str) -> Any:
        return self._last.get("manifest", {}).get(key)


def _of_steps(before: Mapping[str, Any], stage: Stage) -> Iterator[str]:
    old, new = before["parameters"], _plain(stage.parameters)
    steps_before, steps_now = list(before["steps"]), list(stage.steps)
    for name in steps_before:
        if steps_now and name not in steps_now:
            yield f"steps.{name} removed"
    for name in steps_now:
        if name not in steps_before:
            yield f"steps.{name} added"
    shared = [name for name in steps_before if name in steps_now]
    if shared != [name for name in steps_now if name in steps_before]:
        yield f"steps in another order: {', '.join(steps_before)} → {', '.join(steps_now)}"
    if steps_now:
        common = set(shared)
        old, new = (
            {
                **{k: v for k, v in values.items() if k != ORDER},
                "steps": {k: v for k, v in values.get("steps", {}).items() if k in common},
            }
            for values in (old, new)
        )
    yield from _differences(old, new)


def _versions(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() & now.keys()):
        if before[name] != now[name]:
            if isinstance(now[name], int):
                yield f"version of {name}: {before[name]} → {now[name]}"
            else:
                yield f"{name} changed"


def _differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = f"{path}.{key}" if path else key
            if key not in now:
                yield f"{inner} removed"
            elif key not in before:
                yield f"{inner} added"
            else:
                yield from _differences(before[key], now[key], inner)
    elif before != now:
        yield f"{path}: {json.dumps(before)} → {json.dumps(now)}"


def _inputs(task: Task) -> dict[str, str]:
    """The files that a task reads, each with its version; many of them as one entry."""
    settings = {k: v for k, v in task.inputs.items() if k == SETTINGS}
    files = {k: v for k, v in task.inputs.items() if k != SETTINGS}
    if len(files) > SHOWN:
        files = {task.label: digest(files)[:12]}
    return files | settings


def _modules(manifest: Manifest) -> Iterator[tuple[str, Path]]:
    """The modules whose code decides outcomes and is watched, with their files."""
    kinds: list[type] = [type(named.step) for named in manifest.steps]
    kinds += [type(source) for source in manifest.sources.values()]
    names = {kind.__module__ for kind in kinds if not kind.__module__.startswith(CUSTOM)}
    rooms = {room for named in manifest.steps for room in type(named.step).kernels}
    for name in sorted(names):
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None:
            yield name, Path(file)
    for room in sorted(rooms):
        spec = find_spec(f"kernels.{room}")
        for folder in (spec.submodule_search_locations if spec else None) or ():
            for path in sorted(Path(folder).glob("*.py")):
                yield f"kernels.{room}.{path.stem}", path


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
