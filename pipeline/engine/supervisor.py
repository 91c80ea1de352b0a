"""Knows when a worker is gone.

datatrove's local executor waits for ever when a worker is killed: its pool replaces the process
but not the task. So the executor runs in a pool process of its own, and the supervisor here, in the
parent, compares claims with living processes and replaces the pool when a claimant has died.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pipeline.engine.slow_tasks import over_limit
from pipeline.engine.stage import Task, find_receipt
from pipeline.engine.worker import (
    BEGUN,
    Failure,
    Job,
    read_claims,
    read_failures,
    write_failure,
)

POLL_S = 0.1
TRIES = 2  # a task whose worker died is tried once more
# A worker killed while it waits for its next task leaves no claim, and may take along the lock that
# the others wait for. Between two tasks there are milliseconds, so this long means just that.
STALL_S = 10.0


def _serve_pool(pipe: Connection, workers: int, logs: Path) -> None:
    # Imported here: datatrove takes a second that planning need not pay.
    from pipeline.engine.executors import serve

    serve(pipe, workers, logs)


class WorkerPool:
    """A process that has everything imported and forks workers from itself, stage after stage."""

    def __init__(self, workers: int, logs: Path) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve_pool, args=(theirs, workers, logs))
        self.process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        self._pipe.send(job)

    def wait(self) -> str | None:
        """None while at work; "" when the job is done; else what went wrong with the pool."""
        if self._pipe.poll(POLL_S):
            try:
                return str(self._pipe.recv())
            except (EOFError, ConnectionResetError):
                self.process.join()
        if not self.process.is_alive():
            return f"the pool process ended with code {self.process.exitcode}"
        return None

    def dismiss(self) -> None:
        """End the pool and every worker it has, at once."""
        if self.process.is_alive() and self.process.pid:
            try:
                # The pool leads a process group of its own once it has started up.
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
        self.process.join()
        self._pipe.close()


class Supervisor:
    """Runs jobs on this machine with ``workers`` processes; a context manager."""

    def __init__(self, workers: int, logs: Path, task_limit_s: float | None = None) -> None:
        self.workers = workers
        self._logs = logs
        self._task_limit_s = task_limit_s
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss()

    def run(self, job: Job, watch: Callable[[], None] = lambda: None) -> list[Failure]:
        """Run all tasks of ``job``; ``watch`` is called a few times a second meanwhile.

        A task whose worker dies is tried once more and then fails with ``worker-died``, one that
        takes longer than the limit with ``task-too-long``; the others go on. Returns the failures,
        in task order.
        """
        deaths: Counter[str] = Counter()
        failures: dict[str, Failure] = {}
        pending = list(job.tasks)
        while pending:
            _clear(job.scratch)
            self._pool = self._pool or WorkerPool(self.workers, self._logs)
            self._pool.start(replace(job, tasks=tuple(pending)))
            lost = self._watch(job, watch)
            failures.update({failure.key: failure for failure in read_failures(job.scratch)})
            if isinstance(lost, str):
                failures.update({t.key: _pool_failed(job, t, lost, self._logs) for t in pending})
            if lost is None or isinstance(lost, str):
                break
            pending = [t for t in pending if t.key not in failures and not _is_committed(job, t)]
            # Without a claim nobody knows whose worker it was: then it counts for all that wait.
            deaths.update(lost or [task.key for task in pending])
            given_up = [task for task in pending if deaths[task.key] >= TRIES]
            failures.update({task.key: _worker_died(job, task) for task in given_up})
            pending = [task for task in pending if task not in given_up]
        order = {task.key: number for number, task in enumerate(job.tasks)}
        return sorted(failures.values(), key=lambda failure: order[failure.key])

    def _watch(self, job: Job, watch: Callable[[], None]) -> list[str] | str | None:
        """Wait for the job's end: None when the pool is through, what it said when it could not
        begin, or the keys of tasks whose worker died (none when it died between two tasks)."""
        assert self._pool is not None
        # When a task was last seen at work; None until the first one begins.
        busy_at: float | None = None
        while (said := self._pool.wait()) is None:
            watch()
            claims = read_claims(job.scratch)
            if dead := [claim.key for claim in claims if not claim.is_alive]:
                self._dismiss()
                return dead
            if late := list(over_limit(job, claims, self._task_limit_s)):
                self._dismiss()
                for failure in late:
                    write_failure(job, failure)
                return [failure.key for failure in late]
            if claims or (busy_at is None and (job.scratch / BEGUN).exists()):
                busy_at = time.monotonic()
            elif busy_at is not None and time.monotonic() - busy_at > STALL_S:
                self._dismiss()
                return []
        watch()
        if said == "":
            return None
        dead = [claim.key for claim in read_claims(job.scratch)]
        self._dismiss()
        return dead or said

    def _dismiss(self) -> None:
        if self._pool is not None:
            self._pool.dismiss()
            self._pool = None


def _worker_died(job: Job, task: Task) -> Failure:
    return Failure(
        job.stage,
        task.key,
        task.label,
        "worker-died",
        f"the worker on {task.label or task.key} was killed {TRIES} times",
        "often the machine's memory: see logs/workers.log, and try executor.workers: 1",
    )


def _pool_failed(job: Job, task: Task, said: str, logs: Path) -> Failure:
    message = f"{job.stage} could not begin: {said}"
    hint = f"the trace is in {logs}/workers.log"
    return Failure(job.stage, task.key, task.label, "workers-failed", message, hint)


def _is_committed(job: Job, task: Task) -> bool:
    """Whether the outcome of a task cut short is known after all: its receipt decides."""
    return find_receipt(job.store, task.fingerprint) is not None


def _clear(scratch: Path) -> None:
    (scratch / BEGUN).unlink(missing_ok=True)
    for folder in ("claims", "failures", "progress"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        for path in (scratch / folder).iterdir():
            path.unlink()
