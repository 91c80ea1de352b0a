"""Where a run stands, from its output folder alone; safe while the run is going on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.commit import write_atomically
from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.lock import LEASE_S, is_stale, read_holder
from pipeline.engine.plan import load_json
from pipeline.engine.stage import StageOutputs
from pipeline.errors import Refusal


@dataclass(frozen=True)
class StageStatus:
    name: str
    done: int
    tasks: int


@dataclass(frozen=True)
class RunStatus:
    """``holder`` names the process that is running, "" when none is."""

    holder: str
    stages: tuple[StageStatus, ...]

    @property
    def is_complete(self) -> bool:
        return all(stage.done == stage.tasks for stage in self.stages)


def _planned(output: Path) -> list[tuple[str, StageOutputs]]:
    planned = load_json(output / "plan.json").get("stages")
    if planned is None:
        raise Refusal(
            "no-run", f"{output} holds no run", "name the output folder of a run that was started"
        )
    stages = sorted(planned.values(), key=lambda s: int(s["name"].partition("-")[0]))
    found = []
    for stage in stages:
        keys, fingerprints = tuple(stage["tasks"]), tuple(stage["tasks"].values())
        folder = output / "stages" / stage["folder"]
        found.append((stage["name"], StageOutputs(folder, keys, fingerprints)))
    return found


def read_status(output: Path) -> RunStatus:
    """Raises Refusal when no run was ever started into ``output``."""
    stages = tuple(
        StageStatus(name, len(committed.receipts()), len(committed.keys))
        for name, committed in _planned(output)
    )
    lock = output / "lock.json"
    holder = read_holder(lock)
    if holder is None:
        return RunStatus("", stages)
    text = f"process {holder.pid} on {holder.host}"
    if is_stale(lock, holder, LEASE_S):
        text += ", which is gone"
    else:
        text += f", last seen {time.time() - lock.stat().st_mtime:.0f} s ago"
    return RunStatus(text, stages)


def verify(output: Path) -> list[str]:
    """Read every committed file again and compare it with its receipt; a line per fault.

    What is found changed is also forgotten, so that the next run reads it and makes it anew even
    when its size and time are the same.
    """
    faults, changed = [], []
    for name, committed in _planned(output):
        for key in committed.keys:
            receipt = committed.find(key)
            if receipt is None:
                faults.append(f"{name}/{key} is not done, or its receipt cannot be read")
                continue
            for wanted in receipt.outputs:
                path = committed.folder / wanted.path
                if not path.exists():
                    faults.append(f"{name}/{wanted.path} is gone")
                elif sha256_file(path) != wanted.sha256:
                    faults.append(f"{name}/{wanted.path} was changed")
                    changed.append(str(path))
    if changed:
        known = load_json(output / "digests.json")
        kept = {path: digest for path, digest in known.items() if path not in changed}
        write_atomically(output / "digests.json", json.dumps(kept))
    return faults
