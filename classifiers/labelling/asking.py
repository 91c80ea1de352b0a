"""Asks the judges about documents: many at once, again where it helps, and never twice in vain.

An answer is in the label store before anything else happens. What a document gets: its label, or
codes for what is wrong with it; what has no answer for reasons beyond it (a busy server, a broken
line) gets no entry, so that a later run asks again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from classifiers.labelling.answers import Answer
from classifiers.labelling.judge import Trouble, Usage, Work
from classifiers.labelling.meter import Meter
from classifiers.labelling.pool import Pool, Seat
from classifiers.labelling.store import Attempt, LabelStore, Stored
from winnow import WinnowError

FIRST_WAIT_S, MOST_WAIT_S = 0.5, 60.0
SUSPECT = 2  # deaths of servers, from which on a document is asked about alone
BUDGET_WAIT_S = 0.2
BUDGET_SPENT = "budget-spent"
FEW_ERRORS = 2  # of a small pass, whatever share of it they are


@dataclass(frozen=True)
class Patience:
    """When to give up. ``tries`` counts requests without an answer and ``deaths`` servers that
    died under a document; ``errors`` is the share of documents without a label, looked at from
    ``few`` documents on; ``drain_s`` is how long to wait for what is under way at the end."""

    tries: int = 8
    deaths: int = 5
    errors: float = 0.05
    few: int = 50
    drain_s: float = 30.0
    first_wait_s: float = FIRST_WAIT_S


def too_many_errors(bad: int, done: int, errors: Mapping[str, int]) -> tuple[str, str, str]:
    """Code, message and hint for ``bad`` of ``done`` documents without a label."""
    counts = ", ".join(f"{code}: {errors[code]}" for code in sorted(errors))
    hint = "raise max_errors to go on without them"
    if errors.get("low-mass"):
        hint = (
            "low-mass: the judge wanted to say something else than a label; take a model that "
            "follows instructions, see its words with mode: rationale, or lower min_mass"
        )
    return "too-many-errors", f"{bad} of {done} documents got no label ({counts})", hint


class Asking:
    """One pass over documents. ``store_label`` makes the entry of an answer; ``after_each`` is
    awaited for every finished document and may raise Trouble."""

    def __init__(
        self,
        store: LabelStore,
        job: str,
        pool: Pool,
        meter: Meter,
        patience: Patience,
        *,
        least_mass: float,
        store_label: Callable[[Work, Answer], Stored],
        after_each: Callable[[Work], Awaitable[None]],
    ) -> None:
        self._store, self._job, self._pool, self._meter = store, job, pool, meter
        self._patience, self._least_mass = patience, least_mass
        self._store_label, self._after_each = store_label, after_each
        self._random = random.Random()  # waits alone depend on it
        self.done = 0
        self.known = 0  # documents of the pass that had labels when it came to them
        self.errors: Counter[str] = Counter()  # documents without a label, by code
        self.stopped = ""  # why asking ended early: a code
        self._labels: list[Stored] = []
        self._attempts: list[Attempt] = []
        self._flush: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()  # those that have asked nothing right now
        self._room = asyncio.Semaphore(2 * sum(seat.window.most for seat in pool.seats))
        self._ended = asyncio.Event()  # all tasks, or all hope

    @property
    def is_over(self) -> bool:
        """Whether nothing new will be asked."""
        return bool(self.stopped) or self._pool.fatal is not None

    async def run(self, works: AsyncGenerator[Work, None]) -> None:
        """Ask about all of ``works``, or until ``stop``. Raises Trouble when nothing more can be
        asked, and any error that nobody foresaw; what was answered by then is in the store."""
        try:
            async with aclosing(works):
                async for work in works:
                    await self._room.acquire()
                    if self.is_over:
                        self._store.release([work.key])
                        break
                    self._start(work)
            if self._tasks and self._pool.fatal is None:
                self._ended.clear()
                await self._ended.wait()
        finally:
            await self._drain()
            self._write()
        if self._pool.fatal is not None:
            raise self._pool.fatal
        if sum(self.errors.values()) > max(FEW_ERRORS, self._patience.errors * self.done):
            raise self.too_many_errors()

    def stop(self, why: str) -> None:
        """Ask about nothing new; what is under way is waited for."""
        self.stopped = self.stopped or why
        self._wake()

    def _wake(self) -> None:
        """End the waits for a next try, or a seat, that would lead to nothing."""
        for task in self._idle:
            task.cancel()

    def _start(self, work: Work) -> None:
        task = asyncio.create_task(self._one(work))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._idle.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._pool.fail(error)
        if self._pool.fatal is not None:
            self._wake()
        if not self._tasks or self._pool.fatal is not None:
            self._ended.set()

    async def _drain(self) -> None:
        """Wait a while for what is under way, then no more."""
        self._wake()
        left = set(self._tasks)
        if left:
            _, late = await asyncio.wait(left, timeout=self._patience.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _one(self, work: Work) -> None:
        """Ask until there is an answer or no hope."""
        me = asyncio.current_task()
        assert me is not None
        wait: float | None = 0.0
        try:
            while wait is not None:
                if self.is_over:
                    self._store.release([work.key])
                    return
                self._idle.add(me)
                await asyncio.sleep(wait)  # without a seat: others are asked meanwhile
                async with self._pool.seat(alone=work.deaths >= SUSPECT) as seat:
                    self._idle.discard(me)
                    came = await self._turn(seat, work)
                if isinstance(came, Answer):
                    await self._finish(work, came)
                    return
                wait = came
        except BaseException:
            self._store.release([work.key])
            raise

    async def _turn(self, seat: Seat, work: Work) -> Answer | float | None:
        """One request: what to note down, or seconds until the next one, or None to give up."""
        need = seat.judge.estimate(work)
        if not self._meter.reserve(need):
            if self._meter.is_waiting:  # for requests that may turn out smaller than they might
                return BUDGET_WAIT_S
            self.stop(BUDGET_SPENT)
            self._store.release([work.key])
            return None
        start = time.monotonic()
        try:
            if not work.is_sent:
                self._store.sent([work.key])
                work.is_sent = True
            answer, usage = await seat.judge.ask(work)
        except Trouble as trouble:
            return await self._trouble(seat, work, trouble, time.monotonic() - start)
        except asyncio.CancelledError:
            self._note(work, "lost", Usage(), time.monotonic() - start)
            raise
        finally:
            self._meter.release(need)
        seat.window.answered()
        doubtful = self._doubts(answer)
        self._note(work, doubtful or "labelled", usage, time.monotonic() - start)
        if doubtful and not work.doubted:
            work.doubted = True
            return 0.0
        return answer

    async def _trouble(
        self, seat: Seat, work: Work, trouble: Trouble, seconds: float
    ) -> Answer | float | None:
        self._note(work, trouble.code, trouble.usage, seconds)
        if trouble.kind == "fatal":
            raise trouble
        if trouble.kind == "too_long" and seat.judge.shorten(work):
            return 0.0
        if trouble.kind == "garbage" and not work.doubted:
            work.doubted = True
            return 0.0
        if trouble.kind in ("too_long", "garbage", "never"):
            seat.window.answered()
            return Answer.refused(trouble.code)
        if not await seat.judge.is_alive(trouble):
            self._pool.revive(seat)
            work.deaths += 1
            if work.deaths < self._patience.deaths:
                return 0.0
            await self._give_up(work, "server-died")  # perhaps of this very document
            return None
        seat.window.pushed_back(seat.asked - 1)
        if trouble.kind == "busy" and trouble.after is not None:
            self._pool.rest(seat, trouble.after)
        work.tries += 1
        if work.tries >= self._patience.tries:
            await self._give_up(work, trouble.code)
            return None
        if trouble.after is not None:
            return trouble.after * self._random.uniform(1.0, 1.1)
        longest = min(MOST_WAIT_S, self._patience.first_wait_s * 2**work.tries)
        return self._random.uniform(longest / 2, longest)

    async def _finish(self, work: Work, answer: Answer) -> None:
        self._labels.append(self._store_label(work, answer))
        if self._flush is None:  # once for all answers that this turn of the loop brings
            self._flush = asyncio.get_running_loop().call_soon(self._write_or_fail)
        await self._count(work, self._doubts(answer))

    def _doubts(self, answer: Answer) -> str:
        """The code of what is wrong with an answer, its mass included."""
        return next(iter(answer.with_least_mass(self._least_mass).errors.values()), "")

    async def _give_up(self, work: Work, code: str) -> None:
        self._store.release([work.key])
        await self._count(work, code)

    async def _count(self, work: Work, error: str) -> None:
        self.done += 1
        self.errors.update([error] if error else [])
        await self._after_each(work)
        bad = sum(self.errors.values())
        if error and self.done >= self._patience.few and bad > self._patience.errors * self.done:
            raise self.too_many_errors()

    def too_many_errors(self) -> Trouble:
        """What to say of the share of documents without a label."""
        bad = sum(self.errors.values())
        code, message, hint = too_many_errors(bad, self.done, self.errors)
        return Trouble("fatal", code, message, hint=hint)

    def _note(self, work: Work, outcome: str, usage: Usage, seconds: float) -> None:
        work.paid += usage
        self._meter.paid(usage)
        attempt = Attempt(
            self._job, "", work.key, work.purpose, outcome,
            usage.prompt, usage.cached, usage.completion, seconds,
        )  # fmt: skip
        self._attempts.append(attempt)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._write_or_fail)

    def _write_or_fail(self) -> None:
        try:
            self._write()
        except WinnowError as error:
            self._pool.fail(error)
            self._wake()
            self._ended.set()

    def _write(self) -> None:
        """Raises Refusal when the store cannot be written; nothing is forgotten then."""
        if self._flush is not None:
            self._flush.cancel()
        self._flush = None
        if self._labels or self._attempts:
            self._store.write(self._labels, self._attempts)
        self._labels, self._attempts = [], []
