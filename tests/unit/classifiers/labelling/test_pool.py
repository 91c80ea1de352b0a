"""Seats at judges: who waits, who is woken, and what a dead judge does to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from classifiers.labelling.answers import Answer
from classifiers.labelling.identity import Wording
from classifiers.labelling.judge import Trouble, Usage, Work
from classifiers.labelling.pool import MOST_REVIVALS, Pool


class FakeJudge:
    """Revives at once, or as ``trouble`` says."""

    def __init__(self, name: str = "judge") -> None:
        self.name = name
        self.trouble: Exception | None = None
        self.revived = 0
        self.may_revive = asyncio.Event()
        self.may_revive.set()

    async def ask(self, work: Work) -> tuple[Answer, Usage]:
        raise NotImplementedError

    async def check_labels(self, wording: Wording) -> Usage:
        raise NotImplementedError

    def estimate(self, work: Work) -> Usage:
        return Usage(1)

    def shorten(self, work: Work) -> bool:
        return False

    async def is_alive(self, trouble: Trouble) -> bool:
        return False

    async def revive(self) -> None:
        await self.may_revive.wait()
        self.revived += 1
        if self.trouble is not None:
            raise self.trouble


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def limited(judge: FakeJudge, limit: int) -> Pool:
    pool = Pool([judge], 256)
    pool.seats[0].window._limit = float(limit)
    return pool


def test_no_more_are_under_way_than_the_window_allows() -> None:
    async def scenario() -> None:
        pool = limited(FakeJudge(), 3)
        most = 0

        async def one() -> None:
            nonlocal most
            async with pool.seat() as seat:
                most = max(most, seat.asked)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(one() for _ in range(50)))
        assert most == 3
        assert pool.seats[0].asked == 0

    run(scenario())


def test_the_judge_with_most_room_is_next() -> None:
    async def scenario() -> None:
        pool = Pool([FakeJudge("a"), FakeJudge("b")], 256)
        async with pool.seat() as first, pool.seat() as second:
            assert first.judge.name != second.judge.name

    run(scenario())


def test_a_cancelled_wait_passes_its_turn_on() -> None:
    async def scenario() -> None:
        pool = limited(FakeJudge(), 1)
        got = []

        async def one(name: str) -> None:
            async with pool.seat():
                got.append(name)

        async with pool.seat():
            tasks = [asyncio.create_task(one(name)) for name in "abc"]
            await asyncio.sleep(0)
        tasks[0].cancel()  # woken, but not there any more
        await asyncio.gather(*tasks, return_exceptions=True)
        assert got == ["b", "c"]

    run(scenario())


def test_failing_wakes_everybody_who_waits() -> None:
    async def scenario() -> None:
        pool = limited(FakeJudge(), 1)

        async def one() -> None:
            async with pool.seat():
                pass

        async with pool.seat():
            tasks = [asyncio.create_task(one()) for _ in range(5)]
            alone = asyncio.create_task(one_alone(pool))
            await asyncio.sleep(0)
            first = Trouble("fatal", "first")
            pool.fail(first)
            pool.fail(Trouble("fatal", "second"))
            found = await asyncio.gather(*tasks, alone, return_exceptions=True)
        assert found == [first] * 6

    run(scenario())


async def one_alone(pool: Pool) -> None:
    async with pool.seat(alone=True):
        pass


def test_a_dead_judge_is_revived_once_for_all_who_notice() -> None:
    async def scenario() -> None:
        judge = FakeJudge()
        judge.may_revive.clear()
        pool = Pool([judge], 256)
        before = pool.seats[0].window.limit
        for _ in range(5):
            pool.revive(pool.seats[0])
        assert pool.seats[0].room == 0
        assert pool.seats[0].window.limit < before, "it may have died of too much"
        judge.may_revive.set()
        async with pool.seat():
            assert judge.revived == 1

    run(scenario())


def test_other_judges_are_asked_while_one_is_revived() -> None:
    async def scenario() -> None:
        dead, living = FakeJudge("dead"), FakeJudge("living")
        dead.may_revive.clear()
        pool = Pool([dead, living], 256)
        pool.revive(pool.seats[0])
        async with pool.seat() as one, pool.seat() as two:
            assert one.judge is two.judge is living
        await pool.close()
        assert pool.seats[0].reviving is None

    run(scenario())


@pytest.mark.parametrize("error", [Trouble("fatal", "gone"), OSError("no such program")])
def test_a_judge_that_cannot_be_revived_ends_all_asking(error: Exception) -> None:
    async def scenario() -> None:
        judge = FakeJudge()
        judge.trouble = error
        pool = Pool([judge], 256)
        pool.revive(pool.seats[0])
        with pytest.raises(type(error)):
            async with pool.seat():
                pass

    run(scenario())


def test_a_judge_that_dies_again_and_again_is_given_up() -> None:
    async def scenario() -> None:
        pool = Pool([FakeJudge()], 256)
        for _ in range(MOST_REVIVALS):
            pool.revive(pool.seats[0])
            async with pool.seat():
                pass
        pool.revive(pool.seats[0])
        with pytest.raises(Trouble, match=f"died {MOST_REVIVALS + 1} times"):
            async with pool.seat():
                pass

    run(scenario())


def test_alone_means_that_nobody_else_is_under_way() -> None:
    async def scenario() -> None:
        pool = limited(FakeJudge(), 4)
        together = []

        async def one(alone: bool) -> None:
            async with pool.seat(alone=alone) as seat:
                if alone:
                    together.append(seat.asked)
                await asyncio.sleep(0.001)
                if alone:
                    together.append(seat.asked)

        await asyncio.gather(*(one(alone=n % 5 == 0) for n in range(40)))
        assert together == [1] * 16
        assert not pool.seats[0].is_kept

    run(scenario())


def test_a_judge_that_rests_is_not_asked_and_wakes_by_itself() -> None:
    async def scenario() -> None:
        pool = Pool([FakeJudge()], 256)
        pool.rest(pool.seats[0], 0.2)
        start = time.monotonic()
        async with pool.seat():
            assert time.monotonic() - start >= 0.19

    run(scenario())
