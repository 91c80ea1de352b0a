"""Judges with a window each: who is asked next, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from classifiers.labelling.judge import Judge, Trouble
from classifiers.labelling.window import Window

MOST_REVIVALS = 16  # of one server in one job


@dataclass
class Seat:
    """A judge, how much is asked of it at once, and whether it is up."""

    judge: Judge
    window: Window
    asked: int = 0  # requests under way
    revivals: int = 0
    reviving: asyncio.Task[None] | None = field(default=None, repr=False)
    is_kept: bool = False  # for one document alone
    rests_until: float = 0.0  # by the monotonic clock

    @property
    def room(self) -> int:
        if self.reviving is not None or self.is_kept or time.monotonic() < self.rests_until:
            return 0
        return self.window.limit - self.asked


class Pool:
    """Gives out seats; waits when every judge has as much to do as is good for it.

    ``fatal`` is what ends all asking: a Trouble, or an error that nobody foresaw.
    """

    def __init__(self, judges: Sequence[Judge], most: int) -> None:
        self.seats = [Seat(judge, Window(most=most)) for judge in judges]
        self.fatal: BaseException | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alone = asyncio.Lock()
        self._last: asyncio.Future[None] | None = None  # waits for a seat to become empty

    @asynccontextmanager
    async def seat(self, *, alone: bool = False) -> AsyncIterator[Seat]:
        """The judge with most room; with ``alone``, one that nobody else asks meanwhile, for a
        document that judges may die of. Raises ``fatal`` once there is one."""
        if alone:
            async with self._alone, self._kept() as seat:
                yield seat
            return
        seat = await self._free()
        seat.asked += 1
        try:
            yield seat
        finally:
            seat.asked -= 1
            self._wake()

    async def _free(self) -> Seat:
        while self.fatal is None:
            seat = max(self.seats, key=lambda seat: seat.room)
            if seat.room > 0:
                return seat
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await self._until(turn)
        raise self.fatal

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[Seat]:
        seat = await self._free()
        seat.is_kept = True
        try:
            while self.fatal is None and (seat.asked or seat.reviving is not None):
                self._last = asyncio.get_running_loop().create_future()
                await self._until(self._last)
            if self.fatal is not None:
                raise self.fatal
            seat.asked += 1
            try:
                yield seat
            finally:
                seat.asked -= 1
        finally:
            seat.is_kept = False
            self._wake()

    async def _until(self, turn: asyncio.Future[None]) -> None:
        try:
            await turn
        except asyncio.CancelledError:
            self._wake()  # it may have been this one's turn
            raise

    def _wake(self) -> None:
        """Let as many go on as there is room for; everybody when nothing will be answered."""
        if self._last is not None and not self._last.done():
            self._last.set_result(None)
        room = sum(max(seat.room, 0) for seat in self.seats)
        while self._waiting and (room > 0 or self.fatal is not None):
            turn = self._waiting.popleft()
            if not turn.done():  # its task was cancelled
                turn.set_result(None)
                room -= 1

    def fail(self, error: BaseException) -> None:
        """Let nobody ask any more."""
        self.fatal = self.fatal or error
        self._wake()

    def rest(self, seat: Seat, seconds: float) -> None:
        """Ask nothing of a judge for a while, as its server wishes."""
        seat.rests_until = max(seat.rests_until, time.monotonic() + seconds)
        wait = seat.rests_until - time.monotonic() + 0.001
        asyncio.get_running_loop().call_later(wait, self._wake)

    def revive(self, seat: Seat) -> None:
        """Start a dead judge again, once for all who notice; others are asked meanwhile."""
        if seat.reviving is None:
            seat.window.pushed_back(seat.asked)  # it may have died of too much at once
            seat.reviving = asyncio.create_task(self._revive(seat))
            seat.reviving.add_done_callback(lambda task: self._revived(seat, task))

    async def _revive(self, seat: Seat) -> None:
        seat.revivals += 1
        if seat.revivals > MOST_REVIVALS:
            message = f"{seat.judge.name} died {seat.revivals} times"
            hint = "its log says why; often the memory: lower max-model-len or gpu-memory"
            raise Trouble("fatal", "server-dies", message, hint=hint)
        await seat.judge.revive()

    def _revived(self, seat: Seat, task: asyncio.Task[None]) -> None:
        seat.reviving = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
        self._wake()

    async def close(self) -> None:
        """Give up reviving."""
        tasks = [seat.reviving for seat in self.seats if seat.reviving is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
