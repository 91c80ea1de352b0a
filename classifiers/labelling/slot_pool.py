"""Judges with a window each: who is asked next, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from classifiers.judges.judge import Judge, RequestError
from classifiers.labelling.concurrency_window import ConcurrencyWindow

MOST_RESTARTS = 16  # of one server in one job


@dataclass
class Slot:
    """A judge, how much is asked of it at once, and whether it is up."""

    judge: Judge
    window: ConcurrencyWindow
    asked: int = 0  # requests under way
    restarts: int = 0
    restarting: asyncio.Task[None] | None = field(default=None, repr=False)
    is_exclusive: bool = False  # for one document alone
    paused_until: float = 0.0  # by the monotonic clock

    @property
    def room(self) -> int:
        if self.restarting is not None or self.is_exclusive or time.monotonic() < self.paused_until:
            return 0
        return self.window.limit - self.asked


class SlotPool:
    """Gives out seats; waits when every judge has as much to do as is good for it.

    ``fatal`` is what ends all asking: a Trouble, or an error that nobody foresaw.
    """

    def __init__(self, judges: Sequence[Judge], most: int) -> None:
        self.slots = [Slot(judge, ConcurrencyWindow(most=most)) for judge in judges]
        self.fatal: BaseException | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._exclusive_lock = asyncio.Lock()
        self._last: asyncio.Future[None] | None = None  # waits for a seat to become empty

    @asynccontextmanager
    async def slot(self, *, exclusive: bool = False) -> AsyncIterator[Slot]:
        """The judge with most room; with ``alone``, one that nobody else asks meanwhile, for a
        document that judges may die of. Raises ``fatal`` once there is one."""
        if exclusive:
            async with self._exclusive_lock, self._exclusive() as slot:
                yield slot
            return
        slot = await self._free()
        slot.asked += 1
        try:
            yield slot
        finally:
            slot.asked -= 1
            self._wake()

    async def _free(self) -> Slot:
        while self.fatal is None:
            slot = max(self.slots, key=lambda slot: slot.room)
            if slot.room > 0:
                return slot
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await self._until(turn)
        raise self.fatal

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[Slot]:
        slot = await self._free()
        slot.is_exclusive = True
        try:
            while self.fatal is None and (slot.asked or slot.restarting is not None):
                self._last = asyncio.get_running_loop().create_future()
                await self._until(self._last)
            if self.fatal is not None:
                raise self.fatal
            slot.asked += 1
            try:
                yield slot
            finally:
                slot.asked -= 1
        finally:
            slot.is_exclusive = False
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
        room = sum(max(slot.room, 0) for slot in self.slots)
        while self._waiting and (room > 0 or self.fatal is not None):
            turn = self._waiting.popleft()
            if not turn.done():  # its task was cancelled
                turn.set_result(None)
                room -= 1

    def fail(self, error: BaseException) -> None:
        """Let nobody ask any more."""
        self.fatal = self.fatal or error
        self._wake()

    def pause(self, slot: Slot, seconds: float) -> None:
        """Ask nothing of a judge for a while, as its server wishes."""
        slot.paused_until = max(slot.paused_until, time.monotonic() + seconds)
        wait = slot.paused_until - time.monotonic() + 0.001
        asyncio.get_running_loop().call_later(wait, self._wake)

    def restart(self, slot: Slot) -> None:
        """Start a dead judge again, once for all who notice; others are asked meanwhile."""
        if slot.restarting is None:
            slot.window.pushed_back(slot.asked)  # it may have died of too much at once
            slot.restarting = asyncio.create_task(self._restart(slot))
            slot.restarting.add_done_callback(lambda task: self._restarted(slot, task))

    async def _restart(self, slot: Slot) -> None:
        slot.restarts += 1
        if slot.restarts > MOST_RESTARTS:
            message = f"{slot.judge.name} died {slot.restarts} times"
            hint = "its log says why; often the memory: lower max-model-len or gpu-memory"
            raise RequestError("fatal", "server-dies", message, hint=hint)
        await slot.judge.restart()

    def _restarted(self, slot: Slot, task: asyncio.Task[None]) -> None:
        slot.restarting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
        self._wake()

    async def close(self) -> None:
        """Give up reviving."""
        tasks = [slot.restarting for slot in self.slots if slot.restarting is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
