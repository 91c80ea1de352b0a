"""Faults 34 and 35: a run killed at any step of a commit, or at any time, is finished by a rerun
that gives the bytes of an undisturbed run, with one worker and with two."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import contents, load, small_project, winnow, write_lines

from pipeline.engine.failpoints import COMMIT_POINTS
from pipeline.engine.lock import read_holder
from pipeline.engine.run import run
from pipeline.engine.status import read_status, verify

COMMAND = (sys.executable, "-m", "pipeline.cli", "run")


def project(folder: Path) -> Path:
    path = small_project(folder)
    for number in range(3, 7):
        texts = [f"text {n} of file {number % 5}" for n in range(60)]
        write_lines(folder / f"a{number}.jsonl", texts)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = project(tmp_path_factory.mktemp("undisturbed"))
    assert winnow("run", path, cwd=path.parent).returncode == 0
    return contents(path.parent / "out")


def check(path: Path, workers: int, undisturbed: dict[str, bytes]) -> None:
    # In this process: what a rerun gives is compared with a run of the command line.
    results = run(load(path, f"executor.workers={workers}"))
    assert results.exit_code == 0, results.failures
    output = path.parent / "out"
    assert contents(output) == undisturbed
    assert not list(path.parent.glob(".store/tmp/*/*"))
    assert verify(output) == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_killed_at_a_commit_step(
    tmp_path: Path, point: str, workers: int, undisturbed: dict[str, bytes]
) -> None:
    path = project(tmp_path)
    nth = 2 if workers == 1 else 1
    killed = winnow(
        "run",
        path,
        "--set",
        f"executor.workers={workers}",
        cwd=tmp_path,
        environment={"WINNOW_KILL_AT": f"{point}:{nth}", "WINNOW_KILL_RUN": "1"},
    )
    assert killed.returncode == -signal.SIGKILL
    assert not read_status(tmp_path / "out").is_complete
    check(path, workers, undisturbed)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_times(
    tmp_path: Path, workers: int, undisturbed: dict[str, bytes]
) -> None:
    path = project(tmp_path)
    noise = random.Random(workers)
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(
            [*COMMAND, str(path), "--set", f"executor.workers={workers}"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        process.stderr.readline()  # the first stage has begun
        try:
            process.wait(noise.uniform(0.1, 1.5 if not kills else 5.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills
    check(path, workers, undisturbed)


def test_workers_die_with_the_run(tmp_path: Path) -> None:
    path = project(tmp_path)
    process = subprocess.Popen(
        [*COMMAND, str(path)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    holder = read_holder(tmp_path / "out" / "lock.json")
    assert holder is not None
    assert holder.pid == process.pid
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while running_in(tmp_path) and time.monotonic() < deadline:
        os.sched_yield()
    assert not running_in(tmp_path)


def running_in(folder: Path) -> list[int]:
    """Processes whose current directory is ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve() == folder.resolve():
                stat = (entry / "stat").read_text()
                if stat.rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
