"""Trials for tests, in a module that worker processes can import."""

from __future__ import annotations

from pathlib import Path

from pipeline.stage import Desk
from proxy.trial import EVALUATION, TrialWork


def run_trial(work: TrialWork, out: Path) -> Path:
    """Run a trial into ``out``; the path of its evaluation."""
    work.run(Desk(out))
    return out / work.key / EVALUATION
