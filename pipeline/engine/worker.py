"""What happens inside a worker process: claim a task, run it, commit it, or say why not.

Claims and failures are files, so that whoever watches can be another process or another host.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.commit import commit, write_atomically
from pipeline.engine.failpoints import reach
from pipeline.engine.lock import Fence
from pipeline.engine.processes import process_birth
from pipeline.engine.stage import StageOutputs, Task, TaskContext
from pipeline.errors import WinnowError

PROGRESS_EVERY_S = 0.5
BEGUN = "begun"  # there once any task of a job has begun: a task may end before it is seen


@dataclass(frozen=True)
class Job:
    """Tasks of one stage, as handed to an executor. ``scratch`` is where claims are made."""

    stage: str
    folder: Path
    tasks: tuple[Task, ...]
    scratch: Path
    fence: Fence


@dataclass(frozen=True)
class Claim:
    """Somebody is at work on this task. ``born`` tells a reused process id from the claimant."""

    key: str
    pid: int
    born: int

    @property
    def is_alive(self) -> bool:
        return process_birth(self.pid) == self.born


@dataclass(frozen=True)
class Failure:
    """Why a task could not be done."""

    stage: str
    key: str
    label: str
    code: str
    message: str
    hint: str = ""
    trace: str = ""


def run_task(job: Job, task: Task) -> None:
    """Run and commit one task. A fault becomes a Failure file: other tasks must go on."""
    claim = job.scratch / "claims" / f"{task.key}.json"
    pid = os.getpid()
    write_atomically(claim, json.dumps(asdict(Claim(task.key, pid, process_birth(pid) or 0))))
    (job.scratch / BEGUN).touch()
    reach("task-started")
    out = job.folder / "tmp" / f"{task.key}.{pid}"
    try:
        job.fence.check()
        # A task that is to run has no receipt that holds: an old one must not vouch for anything
        # any more, whether this try replaces its files or fails.
        StageOutputs(job.folder, (task.key,)).receipt_path(task.key).unlink(missing_ok=True)
        out.mkdir(parents=True)
        outcome = task.spec.run(TaskContext(out, _Progress(job.scratch, task.key)))
        reach("task-finished")
        commit(job.folder, job.stage, task.key, task.fingerprint, out, outcome, job.fence)
    except WinnowError as error:
        _record(
            job, Failure(job.stage, task.key, task.label, error.code, error.message, error.hint)
        )
    except OSError as error:
        hint = "free some space and run again" if error.errno == 28 else ""
        _record(job, Failure(job.stage, task.key, task.label, "os-error", str(error), hint))
    except Exception as error:  # noqa: BLE001 - whatever a step raises belongs to its shard alone
        message = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        hint = "a fault in a step or in winnow; the trace is in logs/events.jsonl"
        _record(job, Failure(job.stage, task.key, task.label, "crash", message, hint, trace))
    finally:
        shutil.rmtree(out, ignore_errors=True)
        claim.unlink()


def _record(job: Job, failure: Failure) -> None:
    """Note why a task failed; not when its receipt stands, for then it is done after all."""
    wanted = {task.key: task.fingerprint for task in job.tasks}[failure.key]
    if StageOutputs(job.folder, (failure.key,), (wanted,)).receipts():
        return
    path = job.scratch / "failures" / f"{failure.key}.json"
    write_atomically(path, json.dumps(asdict(failure)))


class _Progress:
    """Writes (done, total) for the watcher, not more often than it is read."""

    def __init__(self, scratch: Path, key: str) -> None:
        self._path = scratch / "progress" / f"{key}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._next = 0.0

    def __call__(self, done: float, total: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_EVERY_S
            temporary = self._path.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps([done, total]))
            temporary.replace(self._path)


def read_claims(scratch: Path) -> list[Claim]:
    """Claims that stand now."""
    return [Claim(**value) for value in _read_all(scratch / "claims")]


def read_failures(scratch: Path) -> list[Failure]:
    return [Failure(**value) for value in _read_all(scratch / "failures")]


def read_progress(scratch: Path) -> dict[str, tuple[float, float]]:
    """Task key → (done, total) of tasks that report it."""
    found = {}
    for path in sorted((scratch / "progress").glob("*.json")):
        done, total = json.loads(path.read_text())
        found[path.stem] = (done, total)
    return found


def _read_all(folder: Path) -> list[dict[str, Any]]:
    values = []
    for path in sorted(folder.glob("*.json")):
        try:
            values.append(json.loads(path.read_text()))
        except FileNotFoundError:  # its task ended between the listing and the reading
            continue
    return values
