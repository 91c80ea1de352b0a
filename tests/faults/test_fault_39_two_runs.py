"""Faults 39 to 41: one run at a time on one output; a stale lock is taken over and its old holder
cannot commit any more; nothing depends on the wall clock going forward."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import load, small_project, winnow
from tasks import Write, job

from pipeline.console import Stopwatch
from pipeline.engine.lock import Fence, hold
from pipeline.engine.processes import process_birth, process_place
from pipeline.engine.run import run
from pipeline.engine.stage import find_receipt
from pipeline.engine.worker import read_failures, run_task


def test_second_run_is_refused_naming_host_process_and_age(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    with hold(tmp_path / "out"):
        done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert f"process {os.getpid()} on {socket.gethostname()}, last seen " in done.stderr


def test_lock_of_a_dead_run_is_taken_over(tmp_path: Path) -> None:
    """Fault 40."""
    path = small_project(tmp_path)
    (tmp_path / "out").mkdir()
    dead = {"host": socket.gethostname(), "place": process_place(), "pid": os.getpid()}
    dead |= {"born": 1, "token": "old"}
    (tmp_path / "out" / "lock.json").write_text(json.dumps(dead))
    assert run(load(path)).exit_code == 0


def test_old_holder_aborts_at_its_commit(tmp_path: Path) -> None:
    """Fault 40: the lease ran out while this run was suspended, and another took over."""
    lock = tmp_path / "lock.json"
    with hold(tmp_path) as fence:
        made = job(tmp_path, {"a": Write("a"), "b": Write("b")})
        mine = replace(made, fence=Fence(lock, fence.token))
        run_task(mine, mine.tasks[0])
        assert read_failures(made.scratch) == []
        born = process_birth(os.getpid())
        theirs = {"host": "elsewhere", "place": "elsewhere", "pid": 1, "born": born, "token": "new"}
        lock.write_text(json.dumps(theirs))
        run_task(mine, mine.tasks[0])
        run_task(mine, mine.tasks[1])
    (failure,) = read_failures(made.scratch)
    assert (failure.code, failure.label) == ("lock-lost", "label of b"), (
        "a was done before, and stays so"
    )
    assert find_receipt(made.store, "fp-b") is None
    assert json.loads(lock.read_text()) == theirs, "the new holder keeps its lock"


def test_durations_do_not_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 41."""
    watch = Stopwatch()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= watch.seconds < 60
