"""Slots for requests to judges: how many at once, who is asked next, what happens when one dies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from classifiers.judges.judge import Judge, RequestError

# Twice as much at once should bring a third more answers in the round after, half of which are to
# requests from before, where the server was not busy yet: far enough from GAIN for noise
# not to decide.
GROWTH = 2.0
GAIN = 1.05  # more at once has to bring so much more throughput
# Rounds without a try to grow after growing brought nothing several times; 1 at first.
MOST_IDLE_ROUNDS = 8
ROUND = 16  # answers that a round has at least, so that its rate means something


class ConcurrencyWindow:
    """A limit on requests under way. A round is as many answers as the limit allows at once.

    It grows while a round brings more answers per second than the one before; when growing brought
    nothing it is taken back and tried again some rounds later, more of them each time up to
    MOST_IDLE_ROUNDS. It is halved when the server is busy, and not again by what had been
    asked before that.
    """

    def __init__(
        self, start: int = 32, most: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self.most, self._clock = float(min(start, most)), most, clock
        self._begun, self._answers = clock(), 0
        self._before: tuple[float, float] | None = None  # limit and rate that growing began from
        self._waiting_rounds = 0  # rounds to wait before growing again
        self._best = 0.0  # answers per second of the best round of late under the present limit
        self._idle_rounds = 1  # such rounds, when growing brings nothing the next time
        self._behind = 0  # requests from before the last halving that are still to come back

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self) -> None:
        """A request under way has been answered."""
        self._behind = max(0, self._behind - 1)
        self._answers += 1
        if self._answers >= max(self.limit, ROUND):
            self._round()

    def pushed_back(self, others: int) -> None:
        """The server is busy, or did not answer in time; ``others`` are the requests
        that are still under way."""
        if self._behind > 0:
            self._behind -= 1
            return
        self._limit = max(1.0, self._limit / 2)
        self._behind, self._waiting_rounds, self._before = others, MOST_IDLE_ROUNDS, None
        self._best = 0.0
        self._begun, self._answers = self._clock(), 0

    def _round(self) -> None:
        now = self._clock()
        rate = self._answers / max(now - self._begun, 1e-6)
        self._begun, self._answers = now, 0
        if self._before is not None and rate <= self._before[1] * GAIN:
            self._limit, self._before, self._best = self._before[0], None, 0.0
            self._waiting_rounds, self._idle_rounds = (
                self._idle_rounds,
                min(MOST_IDLE_ROUNDS, 2 * self._idle_rounds),
            )
            return
        if self._before is not None:  # growing was right
            self._before, self._best, self._idle_rounds = None, 0.0, 1
        self._best = max(self._best, rate)
        if self._waiting_rounds > 1:
            self._waiting_rounds -= 1
        elif self._limit < self.most:
            self._before, self._waiting_rounds = (self._limit, self._best), 0
            self._limit = min(float(self.most), max(self._limit + 1, self._limit * GROWTH))


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
    """Gives out slots; waits when every judge has as much to do as is good for it.

    ``fatal`` is what ends all requests: a RequestError, or an unforeseen error.
    """

    def __init__(self, judges: Sequence[Judge], most: int) -> None:
        self.slots = [Slot(judge, ConcurrencyWindow(most=most)) for judge in judges]
        self.fatal: BaseException | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._exclusive_lock = asyncio.Lock()
        self._last: asyncio.Future[None] | None = None  # waits for a slot to become empty

    @asynccontextmanager
    async def slot(self, *, exclusive: bool = False) -> AsyncIterator[Slot]:
        """The judge with most room; with ``alone``, one that gets no other request meanwhile, for a
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
        """Let as many go on as there is room for; all when nothing will be answered."""
        if self._last is not None and not self._last.done():
            self._last.set_result(None)
        room = sum(max(slot.room, 0) for slot in self.slots)
        while self._waiting and (room > 0 or self.fatal is not None):
            turn = self._waiting.popleft()
            if not turn.done():  # its task was cancelled
                turn.set_result(None)
                room -= 1

    def fail(self, error: BaseException) -> None:
        """Give out no slot any more."""
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
