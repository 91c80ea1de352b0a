"""The process of a local worker pool: datatrove's local executor, which no other module imports.

The process imports everything once and forks workers from itself, stage after stage. datatrove
counts a task as done when its pipeline returns, and one that raises ends all others; our task
records its failure instead, and only its receipt says that it is done.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from pipeline.engine.failpoints import belong_to_run
from pipeline.engine.processes import die_with_parent
from pipeline.engine.stage import Task
from pipeline.engine.task_process import load_job
from pipeline.engine.worker import Job, run_task

# Tasks import these where they use them, since planning must not load them. Imported by the process
# that workers are forked from, they are loaded once and not again by every worker.
for _module in (
    "pipeline.engine.outcome_writer",
    "pipeline.engine.step_results",
    "pyarrow.acero",
    "pyarrow.dataset",
):
    importlib.import_module(_module)

# The job at hand and what is to be done of it. Forked workers inherit both, which spares sending
# all tasks to each of them.
_job: Job | None = None
_tasks: list[Task] = []


class RunTask(PipelineStep):  # type: ignore[misc]
    """Our task as a step of datatrove's: rank n runs task n."""

    name = "winnow"
    type = "task"

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Sequence[Any]:
        assert _job is not None
        run_task(_job, _tasks[rank])
        return ()


def serve(pipe: Connection, workers: int, logs: Path) -> None:
    """Take jobs until the parent closes the pipe; killed with it if the parent dies."""
    global _job, _tasks
    os.setsid()
    belong_to_run(os.getppid())
    die_with_parent()
    # Workers too, and the manager process that datatrove starts: nothing outlives the run.
    os.register_at_fork(after_in_child=die_with_parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _redirect_output(logs / "workers.log")
    while True:
        try:
            path, keys = pipe.recv()
        except EOFError:
            return
        try:
            _job = load_job(path)
            by_key = {task.key: task for task in _job.tasks}
            _tasks = [by_key[key] for key in keys]
            _run(_job.stage, workers, logs)
        except Exception as error:  # noqa: BLE001 - sent to the parent, which fails the stage
            traceback.print_exc()
            pipe.send(f"{type(error).__name__}: {error}")
        else:
            pipe.send("")


def _run(stage: str, workers: int, logs: Path) -> None:
    prepare = getattr(_tasks[0].spec, "prepare", None)
    if prepare is not None:
        prepare()
    # datatrove runs a single worker in this very process. With more, even a lone task gets a
    # worker, so that this process stays free of threads and can go on forking.
    LocalPipelineExecutor(
        pipeline=[RunTask()],
        tasks=len(_tasks),
        workers=workers,
        logging_dir=str(logs / "datatrove" / stage),
        skip_completed=False,  # our receipts say what is complete
        start_method="fork",
    ).run()


def _redirect_output(path: Path) -> None:
    """Send everything this process and its workers print, crashes of native code too, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
