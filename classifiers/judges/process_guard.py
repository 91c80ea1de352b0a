"""Runs a server so that no process of it stays behind: ``python -m … GRACE COMMAND …``.

A server such as vLLM is several processes, and killing the first leaves the others holding a GPU.
The guard puts them into a process group of their own and ends the whole group when the server's
first process ends, when it gets SIGTERM, and when the process that started it is gone,
however it went: then its end of the guard's standard input closes. Should the guard itself be
killed, the kernel sends the server SIGTERM.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from winnow import die_with_parent

ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GONE_WITHIN_S = 10.0  # processes killed while they hold a GPU need a while to give it back


def main(grace_s: float, command: Sequence[str]) -> int:
    """Run ``command`` to its end, or until asked; then ``grace_s`` seconds for it to end by itself.

    Returns its exit code, 128 + the signal's number if it was killed, as shells do.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGCHLD, *ASKED_TO_END):
        signal.signal(number, _only_wake)
    die_with_parent(signal.SIGTERM)
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env=environment(command[0]),
        process_group=0,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM),
    )
    until_asked(reading, server.pid)
    with suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: has_ended(server.pid), grace_s)
    # The first process is still unreaped if it has ended, so its number names no other group.
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    wait_for(lambda: not any(living(server.pid)), GONE_WITHIN_S)
    code = server.wait()
    return code if code >= 0 else 128 - code


def environment(program: str) -> dict[str, str]:
    """Ours, without the folders that were added to *our* Python's path: a program of another
    installation would import modules of ours in place of its own."""
    if Path(program).parent == Path(sys.executable).parent:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _only_wake(number: int, frame: FrameType | None) -> None:
    """Handler of the signals that the guard waits for: their numbers arrive in its pipe."""


def until_asked(wakeups: int, server: int) -> None:
    """Return when the server has ended, when a signal asks for its end, or at the input's end."""
    while not has_ended(server):
        readable, _, _ = select.select([sys.stdin, wakeups], [], [])
        if sys.stdin in readable and not os.read(sys.stdin.fileno(), 1):
            return
        if wakeups in readable and set(os.read(wakeups, 4096)) & set(ASKED_TO_END):
            return


def has_ended(pid: int) -> bool:
    """Whether a child has ended; it stays to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def living(group: int) -> Iterator[int]:
    """Processes of a group that still run, zombies not counted (Linux; nothing elsewhere)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, member_of = path.read_text().rpartition(")")[2].split()[:3]
            if int(member_of) == group and state not in ("Z", "X"):
                yield int(path.parent.name)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether ``condition()`` becomes true within ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
