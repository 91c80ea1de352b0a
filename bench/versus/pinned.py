"""A call in a fresh process on one core: no caches, no compiled tables, no threads of others."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

THREADS = ("NUMBA", "OMP", "MKL", "OPENBLAS", "RAYON", "ARROW_IO")


def one_core() -> None:
    """This process and those it starts use one core, with one thread in every library."""
    for name in THREADS:
        variable = "ARROW_IO_THREADS" if name == "ARROW_IO" else f"{name}_NUM_THREADS"
        os.environ[variable] = "1"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def fresh(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``function`` returns, or raises, in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args, **kwargs).result()
