"""The store: results by what they were made from, shared by all runs that name it.

``tasks/<2 digits>/<fingerprint>/`` holds a task's files and its receipt, ``locks/`` says who is at
work on which task, ``runs/`` which output folders refer to the store. Nothing in it is ever
edited; ``collect_garbage`` removes what no run refers to.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.commit import write_atomically
from pipeline.engine.fingerprint import digest
from pipeline.engine.stage import RECEIPT, find_receipt, task_folder
from pipeline.errors import Refusal

PLAN = "plan.json"  # in a run's output folder: the tasks it is made of
_GUARD = "in_use"


@dataclass(frozen=True)
class Garbage:
    """Tasks that no run refers to, with what they take on disk, and runs that are gone."""

    tasks: tuple[Path, ...]
    bytes: int
    kept: int
    lost_runs: tuple[Path, ...]


@contextmanager
def use(store: Path, output: Path) -> Iterator[None]:
    """Have ``output`` refer to the store, and keep garbage collection out meanwhile.

    Raises OSError when the store cannot be written.
    """
    (store / "runs").mkdir(parents=True, exist_ok=True)
    name = digest(str(output.absolute()))[:16]
    reference = {"output": os.path.relpath(output.absolute(), store.absolute())}
    write_atomically(store / "runs" / f"{name}.json", json.dumps(reference) + "\n")
    with (store / _GUARD).open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_SH)
        yield


def collect_garbage(store: Path, *, remove: bool) -> Garbage:
    """Find what no run refers to, and remove it if asked to.

    Raises Refusal while a run uses the store, or when there is none.
    """
    if not (store / "runs").is_dir():
        raise Refusal(
            "no-store", f"{store} holds no store", "name the folder that a run printed as its store"
        )
    with (store / _GUARD).open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"a run is using {store}"
            raise Refusal("store-in-use", message, "wait for it to end, or stop it") from None
        found = _garbage(store)
        if remove:
            # No run is going on, so what is temporary was left by one that was killed.
            for folder in filter(Path.exists, (*found.tasks, store / "tmp")):
                shutil.rmtree(folder)
            for reference in found.lost_runs:
                reference.unlink()
        return found


def _garbage(store: Path) -> Garbage:
    wanted: set[str] = set()
    lost = []
    for reference in sorted((store / "runs").glob("*.json")):
        output = (store / json.loads(reference.read_text())["output"]).resolve()
        if not (output / PLAN).exists():
            lost.append(reference)
            continue
        wanted |= referred(json.loads((output / PLAN).read_bytes()))
    folders = [path for path in sorted((store / "tasks").glob("*/*")) if path.is_dir()]
    unused = tuple(path for path in folders if path.name not in wanted)
    size = sum(file.lstat().st_size for path in unused for file in path.rglob("*"))
    return Garbage(unused, size, len(folders) - len(unused), tuple(lost))


def fault(store: Path, fingerprint: str, digest_of: Callable[[Path], str]) -> str:
    """Why a task's receipt does not hold, "" when it does. ``digest_of`` is the sha256 of a file,
    which a cache may know."""
    folder = task_folder(store, fingerprint)
    if not (folder / RECEIPT).exists():
        return "not done yet"
    receipt = find_receipt(store, fingerprint)
    if receipt is None:
        return "the receipt cannot be read"
    for output in receipt.outputs:
        path = folder / output.path
        if not path.exists():
            return f"output {output.path} is gone"
        if path.stat().st_size != output.bytes or digest_of(path) != output.sha256:
            return f"output {output.path} was changed"
    return ""


def referred(plan: dict[str, Any]) -> set[str]:
    """Fingerprints of the tasks that a saved plan names."""
    stages = plan.get("stages", {}).values()
    now = {task["fingerprint"] for stage in stages for task in stage["tasks"].values()}
    return now | set(plan.get("before", ()))
