from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import pytest
from tasks import Raise, Write, job

from pipeline.engine.stage import find_receipt
from pipeline.engine.task_process import save_job
from pipeline.engine.worker import read_failures


def test_a_call_runs_its_task_alone_in_this_process(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": Write("b")})
    calls = pickle.loads(pickle.dumps(save_job(made)))  # noqa: S301
    assert [(call.stage, call.key, call.label) for call in calls] == [
        ("test", "a", "label of a"),
        ("test", "b", "label of b"),
    ]
    calls[1].run()
    assert find_receipt(tmp_path, "fp-a") is None
    assert find_receipt(tmp_path, "fp-b") is not None


def test_the_command_of_a_call_runs_it_from_any_folder(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = job(Path("run"), {"a": Write("a"), "b": Raise(own=True)})
    paths = os.pathsep.join([str(root), str(root / "tests" / "support")])
    for call in save_job(made):
        subprocess.run(call.command, cwd="/", env={**os.environ, "PYTHONPATH": paths}, check=True)
    assert find_receipt(Path("run"), "fp-a") is not None
    assert [(f.key, f.code) for f in read_failures(made.scratch)] == [("b", "bad-shard")]
