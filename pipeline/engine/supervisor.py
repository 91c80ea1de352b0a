"""Runs the tasks of a stage through an executor, and tries again what lost its worker.

Executors only report that tasks ended. Whether a task is done is seen from its receipt, and why it
failed from what its worker noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.slow_tasks import over_limit
from pipeline.engine.stage import Task, find_receipt
from pipeline.engine.step_calls import place_of
from pipeline.engine.store import fault
from pipeline.engine.task_process import save_job
from pipeline.engine.worker import (
    Failure,
    Job,
    forget_claim,
    read_claims,
    read_failure,
    write_failure,
)
from pipeline.errors import WinnowError
from pipeline.executor import Executor, TaskCall, TaskEnd, WorkerPool

POLL_S = 0.1
TRIES = 2  # a task whose worker died is tried once more


class Supervisor:
    """Runs jobs where ``executor`` says; a context manager, at whose end nothing runs any more."""

    def __init__(self, executor: Executor, logs: Path) -> None:
        self._executor = executor
        self._logs = logs
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def run(self, job: Job, watch: Callable[[], None] = lambda: None) -> list[Failure]:
        """Run all tasks of ``job``; ``watch`` is called a few times a second meanwhile.

        A task whose worker dies is tried once more and then fails with ``worker-died``, one that
        takes longer than the limit with ``task-too-long``; the others go on. Returns the failures,
        in task order.
        """
        _clear(job.scratch)
        going = _Going(job)
        try:
            self._run(going, watch)
        except WinnowError as error:
            self._close()
            going.all_failed(error.code, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - an executor of somebody else's may raise anything
            self._close()
            message = f"{place_of(self._executor)} raised {type(error).__name__}: {error}"
            going.all_failed("executor-failed", message, "mend the executor, or name another one")
        order = {task.key: number for number, task in enumerate(job.tasks)}
        return sorted(going.failures.values(), key=lambda failure: order[failure.key])

    def _run(self, going: _Going, watch: Callable[[], None]) -> None:
        pool = self._pool = self._pool or self._executor.start(self._logs)
        pool.submit(list(going.pending.values()))
        limit = self._executor.task_limit_s
        late: set[str] = set()
        while going.pending:
            ends = pool.poll(POLL_S)
            watch()
            lost = [call for end in ends if (call := going.settle(end)) is not None]
            late -= {end.key for end in ends}
            if lost:
                pool.submit(lost)
            claims = [] if limit is None else read_claims(going.job.scratch)
            for failure in over_limit(going.job, claims, limit):
                if failure.key in going.pending.keys() - late:
                    late.add(failure.key)
                    write_failure(going.job, failure)
                    pool.cancel(failure.key)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


class _Going:
    """A job at work: which tasks have not ended, and which have failed."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pending: dict[str, TaskCall] = {call.key: call for call in save_job(job)}
        self.failures: dict[str, Failure] = {}
        self._tasks: dict[str, Task] = {task.key: task for task in job.tasks}
        self._losses: Counter[str] = Counter()
        # Receipts that stand already are of files that no longer hold: they prove nothing.
        self._doubtful = {t.key for t in job.tasks if find_receipt(job.store, t.fingerprint)}

    def settle(self, end: TaskEnd) -> TaskCall | None:
        """Note what became of a task. Returns its call when it is to be tried again."""
        call = self.pending.pop(end.key)
        forget_claim(self.job.scratch, end.key)
        failure = read_failure(self.job.scratch, end.key)
        if failure is not None:
            self.failures[end.key] = failure
        elif not self._is_committed(self._tasks[end.key]):
            self._losses[end.key] += not end.preempted
            if self._losses[end.key] < TRIES:
                self.pending[end.key] = call
                return call
            why = end.lost or "it ended without a word"
            message = f"the worker on {call.label} died {TRIES} times: {why}"
            hint = "often the machine's memory: see the logs, and try executor.workers: 1"
            self._fail(end.key, "worker-died", message, hint)
        return None

    def all_failed(self, code: str, message: str, hint: str) -> None:
        """Nothing can be run any more."""
        for key in self.pending:
            self._fail(key, code, message, hint)

    def _fail(self, key: str, code: str, message: str, hint: str) -> None:
        task = self._tasks[key]
        self.failures[key] = Failure(self.job.stage, key, task.label, code, message, hint)

    def _is_committed(self, task: Task) -> bool:
        if task.key in self._doubtful:
            return not fault(self.job.store, task.fingerprint, sha256_file)
        return find_receipt(self.job.store, task.fingerprint) is not None


def _clear(scratch: Path) -> None:
    for folder in ("claims", "failures", "progress", "jobs"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        for path in (scratch / folder).iterdir():
            path.unlink()
