"""Has a clerk do a job, and waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from classifiers.labelling.labelling_job import Job, WorkerStatus
from winnow import ShardError

Progress = Callable[[float, float], None]  # (done, total) documents


def run_job(job: Job, progress: Progress = lambda done, total: None) -> WorkerStatus:
    """Return when every document of the job has what it can get.

    The clerk outlives this process for as long as answers are under way. Raises ShardError with
    the clerk's code, message and hint.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "classifiers.labelling.labelling_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # not killed with us: see clerk.py
        )
    assert worker.stdin is not None
    assert worker.stdout is not None
    last: WorkerStatus | None = None
    with (
        worker.stdout,
        suppress(BrokenPipeError),
        worker.stdin,
    ):  # it may end before it has read all
        with suppress(BrokenPipeError):
            worker.stdin.write(job.model_dump_json().encode() + b"\n")
            worker.stdin.flush()
        for line in worker.stdout:
            try:
                last = WorkerStatus.model_validate_json(line)
            except ValidationError:  # a library that prints
                continue
            progress(last.done, last.total)
            if last.ended:
                break
    code = worker.wait()
    if last is None or not last.ended:
        hint = f"the end of {job.log}:\n{last_lines(job.log)}"
        raise ShardError("labelling-died", f"the labelling process ended with code {code}", hint)
    if last.code:
        raise ShardError(last.code, last.message, last.hint)
    return last


def last_lines(path: Path, lines: int = 12) -> str:
    """The end of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
