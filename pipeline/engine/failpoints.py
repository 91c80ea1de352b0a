"""Named points in a commit at which a test may kill the process.

``WINNOW_KILL_AT=receipt-written:3`` sends SIGKILL to whichever worker reaches that point for the
third time in its life; with ``WINNOW_KILL_RUN=1`` to the whole run. Without the variable a point
costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

COMMIT_POINTS = (
    "task-started",
    "task-finished",
    "files-synced",
    "first-file-renamed",
    "files-renamed",
    "receipt-written",
    "receipt-renamed",
)

_reached: Counter[str] = Counter()
_run_pid: int | None = None


def belong_to_run(pid: int) -> None:
    """Remember which process leads the run that this process works for."""
    global _run_pid
    _run_pid = pid


def reach(point: str) -> None:
    """Die here if the environment asks for it."""
    wanted = os.environ.get("WINNOW_KILL_AT")
    if wanted is None:
        return
    name, _, nth = wanted.partition(":")
    _reached[point] += 1
    if name == point and _reached[point] == int(nth or 1):
        if _run_pid is not None and os.environ.get("WINNOW_KILL_RUN"):
            os.kill(_run_pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
