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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from classifiers.labelling.answers import Answer
from classifiers.labelling.judge import Trouble, Usage, Work
from classifiers.labelling.meter import Meter
from classifiers.labelling.pool import Pool, Seat
from classifiers.labelling.store import Attempt, LabelStore, Stored

FIRST_WAIT_S, MOST_WAIT_S = 0.5, 60.0
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
        self.errors: Counter[str] = Counter()  # documents without a label, by code
        self.stopped = ""  # why asking ended early: a code
        self._labels: list[Stored] = []
        self._attempts: list[Attempt] = []
        self._flush: asyncio.Handle | None = None

    async def run(self, works: AsyncIterator[Work]) -> None:
        """Ask about all of ``works``, or until ``stop``. Raises Trouble when nothing more can be
        asked; what was answered by then is in the store."""
        room = asyncio.Semaphore(2 * sum(seat.window.most for seat in self._pool.seats))
        running: set[asyncio.Task[None]] = set()
        try:
            async for work in works:
                await room.acquire()
                if self.stopped or self._pool.fatal:
                    self._store.release([work.key])
                    break
                task = asyncio.create_task(self._one(work))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: room.release())
            if running:
                await asyncio.wait(set(running))
        finally:
            left = set(running)
            if left:
                _, late = await asyncio.wait(left, timeout=self._patience.drain_s)
                for task in late:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
            self._write()
        if self._pool.fatal is not None:
            raise self._pool.fatal
        if sum(self.errors.values()) > max(FEW_ERRORS, self._patience.errors * self.done):
            raise self.too_many_errors()

    def stop(self, why: str) -> None:
        """Ask about nothing new; what is under way is waited for."""
        self.stopped = self.stopped or why

    async def _one(self, work: Work) -> None:
        """Ask until there is an answer or no hope."""
        try:
            while True:
                wait = await self._turn(work)
                if wait is None:
                    return
                await asyncio.sleep(wait)  # without a seat: others are asked meanwhile
                if self.stopped:
                    self._store.release([work.key])
                    return
        except Trouble as trouble:
            self._store.release([work.key])
            self._pool.fail(trouble)

    async def _turn(self, work: Work) -> float | None:
        """One request; None when the document is finished, else seconds until the next one."""
        async with self._pool.seat() as seat:
            need = seat.judge.estimate(work)
            if self.stopped or not self._meter.reserve(need):
                self.stop("budget-spent")
                self._store.release([work.key])
                return None
            start = time.monotonic()
            try:
                answer, usage = await seat.judge.ask(work)
            except Trouble as trouble:
                seconds = time.monotonic() - start
                return await self._trouble(seat, work, trouble, seconds)
            finally:
                self._meter.release(need)
            seat.window.answered()
            seconds = time.monotonic() - start
        doubtful = self._doubts(answer)
        self._note(work, doubtful or "labelled", usage, seconds)
        if doubtful and not work.doubted:
            work.doubted = True
            return 0.0
        await self._finish(work, answer)
        return None

    async def _trouble(
        self, seat: Seat, work: Work, trouble: Trouble, seconds: float
    ) -> float | None:
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
            await self._finish(work, Answer.refused(trouble.code))
            return None
        if not await seat.judge.is_alive(trouble):
            self._pool.revive(seat)
            work.deaths += 1
            if work.deaths < self._patience.deaths:
                return 0.0
            await self._give_up(work, "server-died")  # perhaps of this very document
            return None
        seat.window.pushed_back()
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
            self._flush = asyncio.get_running_loop().call_soon(self._write)
        await self._count(work, self._doubts(answer))

    def _doubts(self, answer: Answer) -> str:
        """The code of what is wrong with an answer, its mass included."""
        return next(iter(answer.with_least_mass(self._least_mass).errors.values()), "")

    async def _give_up(self, work: Work, code: str) -> None:
        self._store.release([work.key])
        await self._count(work, code)

    async def _count(self, work: Work, error: str) -> None:
        self.done += 1
        if error:
            self.errors[error] += 1
            bad = sum(self.errors.values())
            if self.done >= self._patience.few and bad > self._patience.errors * self.done:
                raise self.too_many_errors()
        await self._after_each(work)

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
            self._flush = asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
        self._flush = None
        labels, self._labels = self._labels, []
        attempts, self._attempts = self._attempts, []
        if labels or attempts:
            self._store.write(labels, attempts)
