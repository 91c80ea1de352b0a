"""Worker processes on this machine, and how the death of one is noticed.

datatrove's local executor waits for ever when a worker is killed: its pool replaces the process
but not the task. So it runs in a pool process of its own, and its parent here compares claims with
living processes and replaces the pool when a claimant has died.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pipeline.engine.worker import BEGUN, read_claims
from pipeline.errors import WinnowError
from pipeline.executor import TaskCall, TaskEnd

# A worker killed while it waits for its next task leaves no claim, and may take along the lock that
# the others wait for. Between two tasks there are milliseconds, so this long means just that.
STALL_S = 10.0


def _serve_pool(pipe: Connection, workers: int, logs: Path) -> None:
    # Imported here: datatrove takes a second that planning need not pay.
    from pipeline.engine.pool_process import serve

    serve(pipe, workers, logs)


class LocalWorkerPool:
    """Runs the tasks of one stage at a time in a pool of processes; see ``WorkerPool``.

    When a worker dies, the whole pool is replaced: its other tasks end with it, as preempted.
    """

    def __init__(self, workers: int, logs: Path) -> None:
        self._workers = workers
        self._logs = logs
        self._pool: _Pool | None = None
        self._calls: list[TaskCall] = []
        # When a task was last seen at work; None until the first one begins.
        self._busy_at: float | None = None
        self._cancelled: set[str] = set()

    def submit(self, calls: Sequence[TaskCall]) -> None:
        assert not self._calls, "the tasks of a pool end together"
        (calls[0].scratch / BEGUN).unlink(missing_ok=True)
        self._calls, self._busy_at = list(calls), None
        self._pool = self._pool or _Pool(self._workers, self._logs)
        self._pool.start(calls)

    def poll(self, timeout_s: float) -> Sequence[TaskEnd]:
        if not self._calls:
            return []
        if self._cancelled:
            return self._lost(self._cancelled, "cancelled")
        assert self._pool is not None
        message = self._pool.wait(timeout_s)
        claims = read_claims(self._calls[0].scratch)
        if message == "":
            return [TaskEnd(key) for key in self._taken()]
        if message is not None and not claims:
            stage = self._calls[0].stage
            self._lost((), "")
            trace = f"the trace is in {self._logs}/workers.log"
            raise WinnowError("workers-failed", f"{stage} could not begin: {message}", trace)
        dead = [claim.key for claim in claims if message is not None or not claim.is_alive]
        if dead:
            return self._lost(dead, "it was killed")
        if claims or (self._busy_at is None and (self._calls[0].scratch / BEGUN).exists()):
            self._busy_at = time.monotonic()
        elif self._busy_at is not None and time.monotonic() - self._busy_at > STALL_S:
            # Without a claim nobody knows whose worker it was: it counts for all that wait.
            return self._lost([call.key for call in self._calls], "it was killed")
        return []

    def cancel(self, key: str) -> None:
        self._cancelled.add(key)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.dismiss()
            self._pool = None

    def _lost(self, dead: Collection[str], why: str) -> list[TaskEnd]:
        """End the pool, for which the tasks ``dead`` are to blame."""
        self.close()
        return [
            TaskEnd(key, why) if key in dead else TaskEnd(key, "its pool ended", preempted=True)
            for key in self._taken()
        ]

    def _taken(self) -> list[str]:
        """The keys of all tasks, which are at work no more."""
        keys = [call.key for call in self._calls]
        self._calls, self._cancelled = [], set()
        return keys


class _Pool:
    """A process that has everything imported and forks workers from itself, stage after stage."""

    def __init__(self, workers: int, logs: Path) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve_pool, args=(theirs, workers, logs))
        self._process.start()
        theirs.close()

    def start(self, calls: Sequence[TaskCall]) -> None:
        self._pipe.send((calls[0].job, [call.key for call in calls]))

    def wait(self, timeout_s: float) -> str | None:
        """None while at work; "" when all tasks have ended; else what is wrong with the pool."""
        if self._pipe.poll(timeout_s):
            try:
                return str(self._pipe.recv())
            except (EOFError, ConnectionResetError):
                self._process.join()
        if not self._process.is_alive():
            return f"the pool process ended with code {self._process.exitcode}"
        return None

    def dismiss(self) -> None:
        """End the pool and every worker it has, at once."""
        if self._process.is_alive() and self._process.pid:
            try:
                # The pool leads a process group of its own once it has started up.
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self._process.kill()
        self._process.join()
        self._pipe.close()
