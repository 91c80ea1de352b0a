"""The tasks of a stage as a file, and the process that runs one of them.

``python -m pipeline.engine.task_process FOLDER JOB KEY`` is what executors start on other machines.
"""

from __future__ import annotations

import os
import pickle
import secrets
import sys
from functools import lru_cache
from pathlib import Path

from pipeline.engine.worker import Job, run_task
from pipeline.executor import TaskCall

JOBS = "jobs"


def save_job(job: Job) -> list[TaskCall]:
    """Write the job into a file of its scratch folder. Returns a call for each of its tasks."""
    path = (job.scratch / JOBS / f"{secrets.token_hex(8)}.pickle").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(job))
    return [TaskCall(job.stage, t.key, t.label or t.key, path, job.scratch) for t in job.tasks]


# Files are named at random, so one never stands for two jobs.
@lru_cache(maxsize=1)
def load_job(path: Path) -> Job:
    """The job that ``save_job`` wrote."""
    job = pickle.loads(path.read_bytes())  # noqa: S301 - the run itself wrote it
    assert isinstance(job, Job)
    return job


def run_call(path: Path, key: str) -> None:
    """Run one task of a job. See ``worker.run_task``."""
    job = load_job(path)
    run_task(job, next(task for task in job.tasks if task.key == key))


def main() -> None:
    folder, job, key = sys.argv[1:]
    os.chdir(folder)  # a run's paths may be relative
    run_call(Path(job), key)


if __name__ == "__main__":
    main()
