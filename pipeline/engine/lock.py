"""One run at a time on one output folder, also when an earlier one died.

The lock is a file that names its holder and is touched while the holder lives. It is stale when
the holder's process is gone (same machine and same container) or has not touched it for a lease
(anywhere else). Workers carry the lock's token as a fence: a run that has lost its lock can no
longer commit. Each task in the store is locked in the same way while it is worked on, since other
runs may want the same task at the same time.
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
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.engine.processes import process_birth, process_place
from pipeline.errors import Refusal, ShardError

LEASE_S = 60.0
HEARTBEAT_S = 5.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. ``place`` is the machine's boot and the container: only there do ``pid``
    and ``born`` (its start in clock ticks since boot) mean anything."""

    host: str
    place: str
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
    """Whether the holder is gone: its process died, or its lease ran out elsewhere.

    A lock from the future was touched by a clock that goes ahead of ours. Its age means nothing,
    so it is watched: it stands if it is touched again within three heartbeats.
    """
    if holder.place == process_place():
        return process_birth(holder.pid) != holder.born
    age = time.time() - path.stat().st_mtime
    return age > lease_s if age >= 0 else not _is_touched(path)


def _is_touched(path: Path) -> bool:
    before = path.stat().st_mtime_ns
    deadline = time.monotonic() + 3 * HEARTBEAT_S
    while time.monotonic() < deadline:
        time.sleep(HEARTBEAT_S / 10)
        if not path.exists() or path.stat().st_mtime_ns != before:
            return True
    return False


@contextmanager
def hold(folder: Path, lease_s: float = LEASE_S) -> Iterator[Fence]:
    """Hold ``folder`` for this process.

    Raises Refusal naming host, process and age when somebody else holds it, or when it cannot be
    written at all.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fence = stack.enter_context(locked(folder / "lock.json", lease_s))
        except OSError as error:
            raise Refusal(
                "output-not-writable",
                f"cannot write to {folder}: {error.strerror}",
                "name another folder with --output, or make this one writable",
            ) from error
        yield fence


class LockedError(Refusal):
    """Somebody else holds the lock."""


@contextmanager
def locked(path: Path, lease_s: float = LEASE_S) -> Iterator[Fence]:
    """Hold the lock file ``path``. Raises LockedError when somebody else does."""
    fence = Fence(path, secrets.token_hex(8))
    _take(path, fence.token, lease_s)
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
            raise LockedError(
                "output-locked",
                f"{path.parent} is in use by process {holder.pid} on {holder.host}, {seen(path)}",
                "wait for it to end, stop it, or name another folder with --output",
            )
        pid = os.getpid()
        mine = Holder(socket.gethostname(), process_place(), pid, process_birth(pid) or 0, token)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(mine)))
        temporary.replace(path)


def seen(path: Path) -> str:
    """When the lock was last touched, in words."""
    age = time.time() - path.stat().st_mtime
    if age < -1:
        return f"last seen by a clock that is {-age:,.0f} s ahead of this machine's"
    return f"last seen {max(0.0, age):.0f} s ago"


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
