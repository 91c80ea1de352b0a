"""Tasks that show no progress are named once, with the time since when they are at work."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from tasks import Write, job

from pipeline.engine.slow_tasks import SILENT_S, SilentTasks, over_limit
from pipeline.engine.worker import Claim, Job


def claimed(folder: Path, since: float) -> tuple[Job, Claim]:
    made = job(folder, {"a": Write("a"), "b": Write("b")})
    claim = Claim("a", os.getpid(), 0, since)
    (made.scratch / "claims" / "a.json").write_text(json.dumps(asdict(claim)))
    return made, claim


def test_a_silent_task_is_named_once(tmp_path: Path) -> None:
    began = time.time() - SILENT_S - 1
    made, _ = claimed(tmp_path, began)
    silent = SilentTasks(made)
    (sentence,) = silent.found()
    assert "label of a is at work since" in sentence
    assert time.strftime("%H:%M:%S", time.localtime(began)) in sentence
    assert silent.found() == []


@pytest.mark.parametrize("seconds", [0, SILENT_S - 30])
def test_a_task_that_began_lately_is_not_named(seconds: float, tmp_path: Path) -> None:
    made, _ = claimed(tmp_path, time.time() - seconds)
    assert SilentTasks(made).found() == []


def test_a_task_that_waits_for_another_run_is_not_at_work(tmp_path: Path) -> None:
    made, claim = claimed(tmp_path, 0.0)
    assert SilentTasks(made).found() == []
    assert list(over_limit(made, [claim], 0.001)) == []


def test_progress_is_a_sign_of_life(tmp_path: Path) -> None:
    made, _ = claimed(tmp_path, time.time() - 2 * SILENT_S)
    (made.scratch / "progress" / "a.json").write_text("[1, 2]")
    assert SilentTasks(made).found() == []


def test_only_tasks_over_the_limit_fail(tmp_path: Path) -> None:
    made, claim = claimed(tmp_path, time.time() - 10)
    assert list(over_limit(made, [claim], None)) == []
    assert list(over_limit(made, [claim], 60)) == []
    (failure,) = over_limit(made, [claim], 5)
    assert (failure.key, failure.code) == ("a", "task-too-long")
