"""Where a run stands, from its output folder alone; safe while the run is going on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.cache import Cache
from pipeline.engine.explain import load_plan
from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.lock import LEASE_S, is_stale, read_holder, seen
from pipeline.engine.old_run import refuse_old_run
from pipeline.engine.stage import StageOutputs, task_folder
from pipeline.engine.store import fault
from pipeline.engine.worker import Failure, read_failures
from pipeline.errors import Refusal


@dataclass(frozen=True)
class StageStatus:
    name: str
    done: int
    tasks: int


@dataclass(frozen=True)
class RunStatus:
    """``holder`` names the process that is running, "" when none is; ``failures`` are those of
    the stage at hand."""

    holder: str
    stages: tuple[StageStatus, ...]
    failures: tuple[Failure, ...]

    @property
    def is_complete(self) -> bool:
        return all(stage.done == stage.tasks for stage in self.stages)


def planned_stages(output: Path) -> list[tuple[str, StageOutputs]]:
    """Names and outputs of the stages of the last run into ``output``, in their order.

    Raises Refusal when no run was ever started into it.
    """
    refuse_old_run(output)
    saved = load_plan(output)
    if not saved:
        raise Refusal(
            "no-run", f"{output} holds no run", "name the output folder of a run that was started"
        )
    found = []
    for name in saved["order"]:
        tasks = saved["stages"][name]["tasks"]
        fingerprints = {key: task["fingerprint"] for key, task in tasks.items()}
        known = {key: value for key, value in fingerprints.items() if value}
        store = (output / saved["store"]).resolve()
        found.append((name, StageOutputs(store, tuple(tasks), known)))
    return found


def read_status(output: Path) -> RunStatus:
    """Raises Refusal when no run was ever started into ``output``."""
    stages = tuple(
        StageStatus(name, len(outputs.receipts()), len(outputs.all_keys))
        for name, outputs in planned_stages(output)
    )
    failures = tuple(read_failures(output / "scratch"))
    lock = output / "lock.json"
    holder = read_holder(lock)
    if holder is None:
        return RunStatus("", stages, failures)
    text = f"process {holder.pid} on {holder.host}, "
    text += "which is gone" if is_stale(lock, holder, LEASE_S) else seen(lock)
    return RunStatus(text, stages, failures)


def verify(output: Path) -> list[str]:
    """Read every committed file again and compare it with its receipt; a line per fault.

    What is found changed is also forgotten, so that the next run reads it and makes it anew even
    when its size and time are the same.
    """
    faults: list[str] = []
    changed: list[Path] = []
    for name, outputs in planned_stages(output):
        for key in outputs.all_keys:
            fingerprint = outputs.fingerprints.get(key, "")
            found = fault(outputs.store, fingerprint, sha256_file) if fingerprint else "not done"
            if found:
                faults.append(f"{name}/{key}: {found}")
                changed += task_folder(outputs.store, fingerprint).rglob("*")
    if changed:
        Cache(planned_stages(output)[0][1].store).forget(changed)
    return faults
