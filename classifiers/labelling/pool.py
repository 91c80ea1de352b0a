"""Judges with a window each: who is asked next, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
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

    @property
    def room(self) -> int:
        return 0 if self.reviving is not None else self.window.limit - self.asked


class Pool:
    """Gives out seats; waits when every judge has as much to do as is good for it."""

    def __init__(self, judges: Sequence[Judge], most: int) -> None:
        self.seats = [Seat(judge, Window(most=most)) for judge in judges]
        self.fatal: Trouble | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """The judge with most room. Raises the fatal Trouble once there is one."""
        while self.fatal is None and not any(seat.room > 0 for seat in self.seats):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        if self.fatal is not None:
            raise self.fatal
        seat = max(self.seats, key=lambda seat: seat.room)
        seat.asked += 1
        try:
            yield seat
        finally:
            seat.asked -= 1
            self._wake()

    def _wake(self) -> None:
        """Let as many go on as there is room for; everybody when nothing will be answered."""
        room = sum(max(seat.room, 0) for seat in self.seats)
        while self._waiting and (room > 0 or self.fatal is not None):
            turn = self._waiting.popleft()
            if not turn.done():  # its task was cancelled
                turn.set_result(None)
                room -= 1

    def fail(self, trouble: Trouble) -> None:
        """Let nobody ask any more."""
        self.fatal = self.fatal or trouble
        self._wake()

    def revive(self, seat: Seat) -> None:
        """Start a dead judge again, once for all who notice; others are asked meanwhile."""
        if seat.reviving is None:
            seat.reviving = asyncio.create_task(self._revive(seat))

    async def _revive(self, seat: Seat) -> None:
        seat.revivals += 1
        try:
            if seat.revivals > MOST_REVIVALS:
                message = f"{seat.judge.name} died {seat.revivals} times"
                hint = "its log says why; often the memory: lower max-model-len or gpu-memory"
                raise Trouble("fatal", "server-dies", message, hint=hint)
            await seat.judge.revive()
        except Trouble as trouble:
            self.fail(trouble)
        finally:
            seat.reviving = None
            self._wake()

    async def close(self) -> None:
        """Give up reviving."""
        tasks = [seat.reviving for seat in self.seats if seat.reviving is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
