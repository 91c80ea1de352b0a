"""The limit on requests under way finds what a server can take. Servers here are arithmetic."""

from __future__ import annotations

import heapq
import random

from hypothesis import given
from hypothesis import strategies as st

from classifiers.labelling.concurrency_window import ConcurrencyWindow


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(
    parallel: int, requests: int, *, refuses: bool = False, latency: float = 1.0
) -> tuple[ConcurrencyWindow, list[int], int]:
    """A server that works on ``parallel`` requests at a time; it queues others, or refuses them at
    once. The window, its limit after every event, and how many were refused."""
    clock = Clock()
    window = ConcurrencyWindow(clock=clock)
    free = [0.0] * parallel  # when each place is free again
    under_way: list[tuple[float, bool]] = []
    limits, refused = [], 0
    chance = random.Random(1)
    while requests:
        while len(under_way) < window.limit:
            busy = sum(not is_refused for _, is_refused in under_way)
            if refuses and busy >= parallel:
                heapq.heappush(under_way, (clock.now + latency / 50, True))
            else:
                begin = max(clock.now, heapq.heappop(free))
                end = begin + latency * chance.uniform(0.5, 1.5)
                heapq.heappush(free, end)
                heapq.heappush(under_way, (end, False))
        clock.now, is_refused = heapq.heappop(under_way)
        if is_refused:
            refused += 1
            window.pushed_back(len(under_way))
        else:
            requests -= 1
            window.answered()
        limits.append(window.limit)
    return window, limits, refused


def test_it_grows_while_more_at_once_brings_more() -> None:
    window, limits, _ = simulate(parallel=10_000, requests=20_000)
    assert limits[-1] == window.most


def test_it_never_passes_its_most() -> None:
    window = ConcurrencyWindow(most=20, clock=Clock())
    for _ in range(1_000):
        window.answered()
        assert 1 <= window.limit <= 20


def test_a_server_that_refuses_what_is_too_much_is_mostly_asked_what_it_can_take() -> None:
    _, limits, refused = simulate(parallel=6, requests=3_000, refuses=True)
    late = sorted(limits[len(limits) // 2 :])
    assert late[len(late) // 2] <= 12
    assert refused < 3_000


def test_one_push_back_halves_and_those_from_before_do_not() -> None:
    window = ConcurrencyWindow(start=64, clock=Clock())
    for left in reversed(range(64)):
        window.pushed_back(left)
    assert window.limit == 32, "63 of them had been asked before the limit was halved"
    window.pushed_back(31)
    assert window.limit == 16


def test_it_never_falls_below_one() -> None:
    window = ConcurrencyWindow(start=4, clock=Clock())
    for _ in range(50):
        window.pushed_back(0)
    assert window.limit == 1


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2)), max_size=300))
def test_any_history_leaves_a_limit_that_can_be_used(history: list[tuple[bool, float]]) -> None:
    clock = Clock()
    window = ConcurrencyWindow(most=100, clock=clock)
    for answered, seconds in history:
        clock.now += seconds
        if answered:
            window.answered()
        else:
            window.pushed_back(window.limit - 1)
        assert 1 <= window.limit <= 100
