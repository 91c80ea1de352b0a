"""A labelling job as JSON, and the launcher of the worker process that does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifiers.judges.judge_config import ServerSpec, Truncation
from classifiers.judges.judge_identity import Wording
from classifiers.judges.rubric import Rubric
from classifiers.labelling.label_config import Budget
from winnow import ShardError


class Pass(BaseModel):
    """Documents that are asked about in one way: a Parquet file with a column ``text``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str = "document"
    texts: Path
    repeat: int = 0
    reverse: bool = False
    limit: int

    def wording(self, job: Job) -> Wording:
        """How the pass asks."""
        tokens = job.rationale_tokens
        return Wording(job.rubric, self.limit, job.keep, tokens, self.reverse)


class Job(BaseModel):
    """Everything that the worker needs. ``id`` is the same for the same documents and request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    store: Path
    folder: Path = Field(description="the manifest's, from which paths are meant")
    log: Path = Field(description="where the server's output goes")
    rubric: Rubric
    server: ServerSpec
    keep: Truncation
    rationale_tokens: int
    least_mass: float
    most_errors: float
    most_at_once: int
    budget: Budget
    passes: tuple[Pass, ...]


class WorkerStatus(BaseModel):
    """A line that the worker writes: progress, or the end.

    ``judge`` names the judge in the store; ``code`` is empty when all is well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int = 0
    total: int = 0
    ended: bool = False
    judge: str = ""
    revision: str = ""
    from_store: int = 0
    lost: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""


Progress = Callable[[float, float], None]  # (done, total) documents


def run_job(job: Job, progress: Progress = lambda done, total: None) -> WorkerStatus:
    """Return when every document of the job has what it can get.

    The worker outlives this process for as long as answers are under way. Raises ShardError with
    the worker's code, message and hint.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "classifiers.labelling.labelling_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # it outlives this process: see labelling_worker.py
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
            except ValidationError:  # written by some library
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
