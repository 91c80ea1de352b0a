"""Tasks that are long at work: those that show no progress are named, those over the limit fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from pipeline.engine.worker import Claim, Failure, Job, read_claims

# A task that has reported no progress for so long is named.
SILENT_S = 300.0


def over_limit(job: Job, claims: list[Claim], limit_s: float | None) -> Iterator[Failure]:
    """A failure for each task at work for more than ``limit_s`` seconds (None: no limit)."""
    now = time.time()
    for claim in claims:
        if limit_s is not None and claim.since and now - claim.since > limit_s:
            label = job.labels[claim.key]
            message = (
                f"{label} was stopped: it was at work since {_clock(claim.since)}, "
                f"more than executor.task_limit_s: {limit_s:g}"
            )
            hint = "find out what never returns (a loop in a step, say), or raise the limit"
            yield Failure(job.stage, claim.key, label, "task-too-long", message, hint)


class SilentTasks:
    """Finds tasks of a job that show no sign of progress; each is named once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._named: set[str] = set()

    def found(self) -> list[str]:
        """A sentence for each that was not named before."""
        now, sentences = time.time(), []
        for claim in read_claims(self._job.scratch):
            if claim.key in self._named or not claim.since:
                continue
            if now - max(claim.since, self._progress_at(claim.key)) > SILENT_S:
                self._named.add(claim.key)
                sentences.append(
                    f"{self._job.stage}: {self._job.labels[claim.key]} is at work since "
                    f"{_clock(claim.since)} and has reported no progress for {SILENT_S:g} s"
                )
        return sentences

    def _progress_at(self, key: str) -> float:
        path = self._job.scratch / "progress" / f"{key}.json"
        return path.stat().st_mtime if path.exists() else 0.0


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
