"""Has a clerk do a job, and waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from classifiers.labelling.job import Job, Told
from winnow import ShardError

Progress = Callable[[float, float], None]  # (done, total) documents


def do_job(job: Job, progress: Progress = lambda done, total: None) -> Told:
    """Return when every document of the job has what it can get.

    The clerk outlives this process for as long as answers are under way. Raises ShardError with
    the clerk's code, message and hint.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        clerk = subprocess.Popen(
            [sys.executable, "-P", "-m", "classifiers.labelling.clerk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # not killed with us: see clerk.py
        )
    assert clerk.stdin is not None
    assert clerk.stdout is not None
    last: Told | None = None
    with clerk.stdout, suppress(BrokenPipeError), clerk.stdin:  # it may end before it has read all
        with suppress(BrokenPipeError):
            clerk.stdin.write(job.model_dump_json().encode() + b"\n")
            clerk.stdin.flush()
        for line in clerk.stdout:
            try:
                last = Told.model_validate_json(line)
            except ValidationError:  # a library that prints
                continue
            progress(last.done, last.total)
            if last.ended:
                break
    code = clerk.wait()
    if last is None or not last.ended:
        hint = f"the end of {job.log}:\n{last_lines(job.log)}"
        raise ShardError("labelling-died", f"the labelling process ended with code {code}", hint)
    if last.code:
        raise ShardError(last.code, last.message, last.hint)
    return last


def last_lines(path: Path, lines: int = 12) -> str:
    """The end of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
