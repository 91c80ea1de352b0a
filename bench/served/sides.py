"""What all sides share: the server, and what a run of one of them gives."""

from __future__ import annotations

import os
from typing import NamedTuple


class Server(NamedTuple):
    """Where to ask. ``url`` is empty for a model that runs in the process that asks, whose folder
    is ``tokenizer``; ``core`` is the only one that clients may use, where there is one."""

    url: str
    model: str
    tokenizer: str
    core: int | None = None


class Ran(NamedTuple):
    """``seconds`` of asking about ``documents``, CPU ``cpu`` of the client's process then; tokens
    as the server counts them; ``limit`` is the window's at the end."""

    documents: int
    seconds: float
    cpu: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    limit: int = 0
    requests: int = 0


def pin(core: int | None) -> None:
    """Use this core alone, tokenizers' threads included."""
    if core is not None:
        os.environ["RAYON_NUM_THREADS"] = "1"
        os.sched_setaffinity(0, {core})
