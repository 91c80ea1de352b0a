from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.engine import lock
from pipeline.engine.lock import Fence, hold, is_stale, read_holder, seen
from pipeline.engine.processes import process_birth, process_place
from pipeline.errors import Refusal, ShardError


def write_lock(folder: Path, **changes: object) -> Path:
    born = process_birth(os.getpid())
    holder = {"host": socket.gethostname(), "place": process_place(), "pid": os.getpid()}
    holder |= {"born": born, "token": "old"}
    path = folder / "lock.json"
    path.write_text(json.dumps(holder | changes))
    return path


def test_lock_is_there_while_held_and_gone_after(tmp_path: Path) -> None:
    with hold(tmp_path) as fence:
        holder = read_holder(tmp_path / "lock.json")
        assert holder is not None
        assert holder.pid == os.getpid()
        fence.check()
    assert read_holder(tmp_path / "lock.json") is None


def test_lock_is_released_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), hold(tmp_path):
        raise ValueError("boom")
    assert read_holder(tmp_path / "lock.json") is None


def test_second_holder_is_told_host_process_and_age(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(Refusal) as caught, hold(tmp_path):
        pass
    message = str(caught.value)
    assert socket.gethostname() in message
    assert f"process {os.getpid()}" in message
    assert "s ago" in message
    assert caught.value.exit_code == 2


def test_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    write_lock(tmp_path, pid=gone.pid, born=1)
    with hold(tmp_path) as fence:
        fence.check()


def test_reused_process_id_does_not_keep_a_lock(tmp_path: Path) -> None:
    path = write_lock(tmp_path, born=1)
    holder = read_holder(path)
    assert holder is not None
    assert is_stale(path, holder, lease_s=60)


def test_lock_of_another_container_is_not_judged_by_process_ids_here(tmp_path: Path) -> None:
    """One host name and one volume, but other process ids."""
    write_lock(tmp_path, place="this boot/another container", pid=1, born=1)
    with pytest.raises(Refusal, match="in use by process 1"), hold(tmp_path):
        pass


def test_lock_touched_by_a_clock_ahead_is_taken_over_when_nobody_touches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)
    path = write_lock(tmp_path, place="elsewhere")
    ahead = time.time() + 365 * 86_400
    os.utime(path, (ahead, ahead))
    assert "ahead of this machine's" in seen(path)
    with hold(tmp_path) as fence:
        fence.check()


def test_lock_touched_by_a_clock_ahead_stands_while_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.2)
    path = write_lock(tmp_path, place="elsewhere")
    ahead = time.time() + 365 * 86_400
    os.utime(path, (ahead, ahead))
    beat = threading.Timer(0.1, os.utime, (path, (ahead + 1, ahead + 1)))
    beat.start()
    with pytest.raises(Refusal, match="ahead of this machine's"), hold(tmp_path):
        pass
    beat.join()


def test_other_host_keeps_its_lock_until_the_lease_ends(tmp_path: Path) -> None:
    path = write_lock(tmp_path, host="elsewhere", place="elsewhere")
    with pytest.raises(Refusal), hold(tmp_path, lease_s=60):
        pass
    long_ago = time.time() - 120
    os.utime(path, (long_ago, long_ago))
    with hold(tmp_path, lease_s=60) as fence:
        fence.check()


def test_fence_stops_the_old_holder(tmp_path: Path) -> None:
    path = write_lock(tmp_path, token="new")
    with pytest.raises(ShardError, match="taken over"):
        Fence(path, "old").check()


def test_fence_stops_when_the_lock_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ShardError):
        Fence(tmp_path / "lock.json", "mine").check()


def test_birth_of_a_zombie_is_none() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    deadline = time.monotonic() + 20
    while process_birth(child.pid) is not None and time.monotonic() < deadline:
        os.sched_yield()
    assert process_birth(child.pid) is None
    child.wait()
    assert process_birth(child.pid) is None
