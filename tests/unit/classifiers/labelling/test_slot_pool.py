"""Slots are given out fairly, and their number follows what the server can take."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from fake_judges import FakeJudge
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.judge import RequestError
from classifiers.labelling.slot_pool import MOST_RESTARTS, ConcurrencyWindow, SlotPool


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


class DyingJudge(FakeJudge):
    """Restarts at once, or as ``failure`` says."""

    def __init__(self, name: str = "judge") -> None:
        self.name = name
        self.failure: Exception | None = None
        self.restarts = 0
        self.may_restart = asyncio.Event()
        self.may_restart.set()

    async def is_alive(self, failure: RequestError) -> bool:
        return False

    async def restart(self) -> None:
        await self.may_restart.wait()
        self.restarts += 1
        if self.failure is not None:
            raise self.failure


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def limited(judge: DyingJudge, limit: int) -> SlotPool:
    pool = SlotPool([judge], 256)
    pool.slots[0].window._limit = float(limit)
    return pool


def test_no_more_are_under_way_than_the_window_allows() -> None:
    async def scenario() -> None:
        pool = limited(DyingJudge(), 3)
        most = 0

        async def one() -> None:
            nonlocal most
            async with pool.slot() as slot:
                most = max(most, slot.asked)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(one() for _ in range(50)))
        assert most == 3
        assert pool.slots[0].asked == 0

    run(scenario())


def test_the_judge_with_most_room_is_next() -> None:
    async def scenario() -> None:
        pool = SlotPool([DyingJudge("a"), DyingJudge("b")], 256)
        async with pool.slot() as first, pool.slot() as second:
            assert first.judge.name != second.judge.name

    run(scenario())


def test_a_cancelled_wait_passes_its_turn_on() -> None:
    async def scenario() -> None:
        pool = limited(DyingJudge(), 1)
        got = []

        async def one(name: str) -> None:
            async with pool.slot():
                got.append(name)

        async with pool.slot():
            tasks = [asyncio.create_task(one(name)) for name in "abc"]
            await asyncio.sleep(0)
        tasks[0].cancel()  # woken, but not there any more
        await asyncio.gather(*tasks, return_exceptions=True)
        assert got == ["b", "c"]

    run(scenario())


def test_failing_wakes_everybody_who_waits() -> None:
    async def scenario() -> None:
        pool = limited(DyingJudge(), 1)

        async def one() -> None:
            async with pool.slot():
                pass

        async with pool.slot():
            tasks = [asyncio.create_task(one()) for _ in range(5)]
            exclusive = asyncio.create_task(one_alone(pool))
            await asyncio.sleep(0)
            first = RequestError("fatal", "first")
            pool.fail(first)
            pool.fail(RequestError("fatal", "second"))
            found = await asyncio.gather(*tasks, exclusive, return_exceptions=True)
        assert found == [first] * 6

    run(scenario())


async def one_alone(pool: SlotPool) -> None:
    async with pool.slot(exclusive=True):
        pass


def test_a_dead_judge_is_revived_once_for_all_who_notice() -> None:
    async def scenario() -> None:
        judge = DyingJudge()
        judge.may_restart.clear()
        pool = SlotPool([judge], 256)
        before = pool.slots[0].window.limit
        for _ in range(5):
            pool.restart(pool.slots[0])
        assert pool.slots[0].room == 0
        assert pool.slots[0].window.limit < before, "it may have died of too much"
        judge.may_restart.set()
        async with pool.slot():
            assert judge.restarts == 1

    run(scenario())


def test_other_judges_are_asked_while_one_is_revived() -> None:
    async def scenario() -> None:
        dead, living = DyingJudge("dead"), DyingJudge("living")
        dead.may_restart.clear()
        pool = SlotPool([dead, living], 256)
        pool.restart(pool.slots[0])
        async with pool.slot() as one, pool.slot() as two:
            assert one.judge is two.judge is living
        await pool.close()
        assert pool.slots[0].restarting is None

    run(scenario())


@pytest.mark.parametrize("error", [RequestError("fatal", "gone"), OSError("no such program")])
def test_a_judge_that_cannot_be_revived_ends_all_asking(error: Exception) -> None:
    async def scenario() -> None:
        judge = DyingJudge()
        judge.failure = error
        pool = SlotPool([judge], 256)
        pool.restart(pool.slots[0])
        with pytest.raises(type(error)):
            async with pool.slot():
                pass

    run(scenario())


def test_a_judge_that_dies_again_and_again_is_given_up() -> None:
    async def scenario() -> None:
        pool = SlotPool([DyingJudge()], 256)
        for _ in range(MOST_RESTARTS):
            pool.restart(pool.slots[0])
            async with pool.slot():
                pass
        pool.restart(pool.slots[0])
        with pytest.raises(RequestError, match=f"died {MOST_RESTARTS + 1} times"):
            async with pool.slot():
                pass

    run(scenario())


def test_exclusive_means_that_no_other_request_is_under_way() -> None:
    async def scenario() -> None:
        pool = limited(DyingJudge(), 4)
        together = []

        async def one(exclusive: bool) -> None:
            async with pool.slot(exclusive=exclusive) as slot:
                if exclusive:
                    together.append(slot.asked)
                await asyncio.sleep(0.001)
                if exclusive:
                    together.append(slot.asked)

        await asyncio.gather(*(one(exclusive=n % 5 == 0) for n in range(40)))
        assert together == [1] * 16
        assert not pool.slots[0].is_exclusive

    run(scenario())


def test_a_judge_that_rests_is_not_asked_and_wakes_by_itself() -> None:
    async def scenario() -> None:
        pool = SlotPool([DyingJudge()], 256)
        pool.pause(pool.slots[0], 0.2)
        start = time.monotonic()
        async with pool.slot():
            assert time.monotonic() - start >= 0.19

    run(scenario())
