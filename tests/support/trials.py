"""Trials for tests, in a module that worker processes can import."""

from __future__ import annotations

from pathlib import Path

from pipeline.engine.stage import TaskContext
from proxy.training.trial import EVALUATION, TrialTask


def run_trial(work: TrialTask, out: Path) -> Path:
    """Run a trial into ``out``; the path of its evaluation."""
    work.run(TaskContext(out))
    return out / work.key / EVALUATION
