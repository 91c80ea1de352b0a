"""What an executor is: a place where tasks run, such as processes of this machine or a cluster.

The engine submits tasks, asks what has ended, and looks for receipts. A receipt alone says that a
task is done, so an executor reports nothing of what tasks do: only that they ended, and which of
them lost their worker. The engine finds executors through the entry points ``winnow.executors``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class TaskCall:
    """A task to be run somewhere, in plain values: it can be pickled, or sent as a command.

    ``key`` is unique in its ``stage`` and safe as a file name; ``label`` is what users see.
    ``job`` is the file that holds the tasks of the stage, and ``scratch`` the folder in which tasks
    at work leave their claims; a worker needs to see both, and the store.
    """

    stage: str
    key: str
    label: str
    job: Path
    scratch: Path

    @property
    def command(self) -> tuple[str, ...]:
        """The command that runs the task in a process of its own, wherever it is started."""
        module = "pipeline.engine.task_process"
        return sys.executable, "-m", module, str(Path.cwd()), str(self.job), self.key

    def run(self) -> None:
        """Run and commit the task in this process. A fault of the task does not raise: it is
        noted where the engine looks for it."""
        from pipeline.engine.task_process import run_call

        run_call(self.job, self.key)


@dataclass(frozen=True)
class TaskEnd:
    """A submitted task that is at work no more.

    ``lost`` is "" when its process came to its end, and else says what became of it ("killed by
    signal 9"). A task that is lost is submitted again, and fails when that happens twice. Losses
    for which the task is not to blame (a preempted job, a lost node) are ``preempted`` and do not
    count.
    """

    key: str
    lost: str = ""
    preempted: bool = False


class WorkerPool(Protocol):
    """Whatever runs tasks for an executor, from the start of a run to its end.

    Methods may raise WinnowError when nothing can be run any more: all tasks of the stage fail
    with it.
    """

    def submit(self, calls: Sequence[TaskCall]) -> None:
        """Take up tasks of one stage and return at once. Tasks that were lost come again, maybe
        while others are at work."""

    def poll(self, timeout_s: float) -> Sequence[TaskEnd]:
        """The tasks that have ended since the last call, each once; waits for at most
        ``timeout_s`` seconds when there are none."""

    def cancel(self, key: str) -> None:
        """Stop a task that is at work. ``poll`` gives its end."""

    def close(self) -> None:
        """Stop everything, at once: the run is over, or was interrupted."""


class Executor(BaseModel):
    """Where tasks run. Subclasses declare their options as fields, all with defaults, which the
    manifest gives under ``executor``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    workers: int = Field(
        default_factory=cpu_count,
        ge=1,
        le=1024,
        description="Tasks at work at the same time; by default one per processor.",
    )
    task_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which a task is stopped and its shard fails; by default never.",
    )

    def start(self, logs: Path) -> WorkerPool:
        """The workers of a run, which may write into the folder ``logs``."""
        raise NotImplementedError(f"{type(self).__name__}.start")
