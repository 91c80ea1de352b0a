"""One run at a time on one output folder, also when an earlier one died.

The lock is a file that names its holder and is touched while the holder lives. It is stale when
the holder's process is gone (same host) or has not touched it for a lease (another host). Workers
carry the lock's token as a fence: a run that has lost its lock can no longer commit.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.engine.processes import process_birth
from pipeline.errors import Refusal, ShardError

LEASE_S = 60.0
HEARTBEAT_S = 5.0


@dataclass(frozen=True)
class Holder:
    """Who holds an output folder. ``born`` is the process's start in clock ticks since boot."""

    host: str
    pid: int
    born: int
    token: str


@dataclass(frozen=True)
class Fence:
    """Lets only the lock's present holder commit; without a path everything passes (tests)."""

    path: Path | None = None
    token: str = ""

    def check(self) -> None:
        if self.path is None:
            return
        holder = read_holder(self.path)
        if holder is None or holder.token != self.token:
            raise ShardError("lock-lost", f"another run has taken over {self.path.parent}")


def read_holder(path: Path) -> Holder | None:
    """Who the lock file names; None when there is no lock."""
    try:
        return Holder(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def is_stale(path: Path, holder: Holder, lease_s: float) -> bool:
    """Whether the holder is gone: its process died, or its lease ran out on another host."""
    if holder.host == socket.gethostname():
        return process_birth(holder.pid) != holder.born
    return time.time() - path.stat().st_mtime > lease_s


@contextmanager
def hold(folder: Path, lease_s: float = LEASE_S) -> Iterator[Fence]:
    """Hold ``folder`` for this process.

    Raises Refusal naming host, process and age when somebody else holds it, or when it cannot be
    written at all.
    """
    path = folder / "lock.json"
    fence = Fence(path, secrets.token_hex(8))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _take(path, fence.token, lease_s)
    except OSError as error:
        raise Refusal(
            "output-not-writable",
            f"cannot write to {folder}: {error.strerror}",
            "name another folder with --output, or make this one writable",
        ) from error
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(fence, stop), daemon=True)
    beat.start()
    try:
        yield fence
    finally:
        stop.set()
        beat.join()
        holder = read_holder(path)
        if holder and holder.token == fence.token:
            path.unlink()


def _take(path: Path, token: str, lease_s: float) -> None:
    with (path.parent / "lock.guard").open("w") as guard:
        # Two runs must not both find the same lock stale and both take it.
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            holder = read_holder(path)
        except (ValueError, TypeError):  # half a file: the machine went down while it was written
            holder = None
        if holder and not is_stale(path, holder, lease_s):
            age = time.time() - path.stat().st_mtime
            raise Refusal(
                "output-locked",
                f"{path.parent} is in use by process {holder.pid} on {holder.host}, "
                f"last seen {age:.0f} s ago",
                "wait for it to end, stop it, or name another folder with --output",
            )
        mine = Holder(socket.gethostname(), os.getpid(), process_birth(os.getpid()) or 0, token)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(mine)))
        temporary.replace(path)


def _beat(fence: Fence, stop: threading.Event) -> None:
    assert fence.path is not None
    while not stop.wait(HEARTBEAT_S):
        try:
            holder = read_holder(fence.path)
            if holder is None or holder.token != fence.token:
                return
            os.utime(fence.path)
        except OSError:  # a network file system may miss a beat; the lease is twelve of them
            continue
