"""What happens inside a worker process: claim a task, run it, commit it, or say why not.

Claims and failures are files, so that whoever watches can be another process or another host.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.engine.commit import commit, write_atomically
from pipeline.engine.failpoints import reach
from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.lock import Fence, LockedError, locked
from pipeline.engine.processes import process_birth
from pipeline.engine.stage import RECEIPT, Task, TaskContext, find_receipt, task_folder
from pipeline.engine.store import fault
from pipeline.errors import WinnowError

PROGRESS_EVERY_S = 0.5
WAIT_S = 0.2  # between looks at a task that another run is at work on
ALMOST_FULL = 2**20  # bytes
BEGUN = "begun"  # there once any task of a job has begun: a task may end before it is seen


@dataclass(frozen=True)
class Job:
    """Tasks of one stage, as handed to an executor.

    Files are written below ``temporary``, in the store's file system, and claims, failures and
    progress below ``scratch``.
    """

    stage: str
    store: Path
    tasks: tuple[Task, ...]
    temporary: Path
    scratch: Path
    fence: Fence

    @cached_property
    def labels(self) -> dict[str, str]:
        """Key → what users see of the task."""
        return {task.key: task.label or task.key for task in self.tasks}


@dataclass(frozen=True)
class Claim:
    """Somebody is at work on this task. ``born`` tells a reused process id from the claimant.

    ``since`` is the time at which the work began; 0 while another run is at work on it.
    """

    key: str
    pid: int
    born: int
    since: float = 0.0

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
    mine = Claim(task.key, pid, process_birth(pid) or 0)
    out = job.temporary / f"{task.key}.{pid}"
    try:
        write_atomically(claim, json.dumps(asdict(mine)))
        (job.scratch / BEGUN).touch()
        reach("task-started")
        job.fence.check()
        with _turn(job, task) as fence:
            if fence is not None:
                write_atomically(claim, json.dumps(asdict(replace(mine, since=time.time()))))
                _work(job, task, out, fence)
    except WinnowError as error:
        trace = traceback.format_exc() if error.__cause__ else ""
        _record(
            job,
            out,
            Failure(job.stage, task.key, task.label, error.code, error.message, error.hint, trace),
        )
    except OSError as error:
        _record(job, out, _storage_failure(job, task, out, error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a fault of its shard alone
        message = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        hint = "a fault in a step or in winnow; the trace is in logs/events.jsonl"
        _record(job, out, Failure(job.stage, task.key, task.label, "crash", message, hint, trace))
    finally:
        shutil.rmtree(out, ignore_errors=True)
        claim.unlink(missing_ok=True)


@contextmanager
def _turn(job: Job, task: Task) -> Iterator[Fence | None]:
    """Wait until no other run is at work on this task: its lock, or None when the other one has
    done it."""
    path = job.store / "locks" / f"{task.fingerprint}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        while True:
            try:
                fence = stack.enter_context(locked(path))
                break
            except LockedError:
                time.sleep(WAIT_S)
        # A receipt may stand whose files do not hold; then there is work to do all the same.
        done = not fault(job.store, task.fingerprint, sha256_file)
        yield None if done else fence


def _work(job: Job, task: Task, out: Path, fence: Fence) -> None:
    # A task that is to run has no receipt that holds: an old one must not vouch for anything
    # any more, whether this try replaces its files or fails.
    (task_folder(job.store, task.fingerprint) / RECEIPT).unlink(missing_ok=True)
    out.mkdir(parents=True)
    result = task.spec.run(TaskContext(out, _Progress(job.scratch, task.key)))
    reach("task-finished")
    commit(job.store, job.stage, task, out, result, fence, job.fence)


def _storage_failure(job: Job, task: Task, out: Path, error: OSError) -> Failure:
    free = shutil.disk_usage(job.store).free
    # Some libraries report a short write without the number of the error.
    if error.errno != errno.ENOSPC and free > ALMOST_FULL:
        return Failure(job.stage, task.key, task.label, "os-error", str(error))
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    message = (
        f"{job.store} is full: the task had written {written / 1e6:.1f} MB there, and "
        f"{free / 1e6:.1f} MB are free"
    )
    hint = "free some space, or name another store with --set store=DIR, and run again"
    return Failure(job.stage, task.key, task.label, "disk-full", message, hint)


def _record(job: Job, out: Path, failure: Failure) -> None:
    """Note why a task failed; not when its receipt stands, for then it is done after all."""
    # What the task wrote goes first: on a full disk there is no room for the note before.
    shutil.rmtree(out, ignore_errors=True)
    wanted = {task.key: task.fingerprint for task in job.tasks}[failure.key]
    if find_receipt(job.store, wanted) is None:
        write_failure(job, failure)


def write_failure(job: Job, failure: Failure) -> None:
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


def read_failure(scratch: Path, key: str) -> Failure | None:
    """Why a task failed, if it did."""
    path = scratch / "failures" / f"{key}.json"
    return Failure(**json.loads(path.read_bytes())) if path.exists() else None


def forget_claim(scratch: Path, key: str) -> None:
    """Remove the claim of a task that is at work no more: a worker that is killed leaves it."""
    (scratch / "claims" / f"{key}.json").unlink(missing_ok=True)


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
