"""Who holds a claim in the label store: a process, and whether it still lives."""

from __future__ import annotations

import os
import socket
import time

from winnow import process_birth

# A claim of a process that cannot be seen (on another host, in another container) ends when it has
# not been renewed for so long.
LEASE_S = 600.0
Holder = tuple[str, int, int]  # host, process id, when it began


def me() -> Holder:
    """This process."""
    return socket.gethostname(), os.getpid(), process_birth(os.getpid()) or 0


def is_alive(host: str, pid: int, born: int, seen: float) -> bool:
    """Whether a holder still lives; of one on another host only its last renewal is known."""
    if host != socket.gethostname():
        return time.time() < seen + LEASE_S
    return process_birth(pid) == born
