"""The loop of requests about documents: many at once, and again where that may help.

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

from classifiers.judges.answers import Answer
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_store import Attempt, LabelStore, Stored
from classifiers.labelling.slot_pool import Slot, SlotPool
from winnow import WinnowError

FIRST_WAIT_S, MOST_WAIT_S = 0.5, 60.0
SUSPECT = 2  # deaths of servers, from which on a document is asked about alone
BUDGET_WAIT_S = 0.2
BUDGET_SPENT = "budget-spent"
FEW_ERRORS = 2  # allowed in a small pass, whatever share of it they are


@dataclass(frozen=True)
class RetryPolicy:
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
            "low-mass: the judge was about to write something else than a label; take a model that "
            "follows instructions, read its rationale with mode: rationale, or lower min_mass"
        )
    return "too-many-errors", f"{bad} of {done} documents got no label ({counts})", hint


class RequestLoop:
    """One pass over documents. ``store_label`` makes the entry of an answer; ``after_each`` is
    awaited for every finished document and may raise RequestError."""

    def __init__(
        self,
        store: LabelStore,
        job: str,
        pool: SlotPool,
        budget: BudgetTracker,
        policy: RetryPolicy,
        *,
        least_mass: float,
        store_label: Callable[[LabelRequest, Answer], Stored],
        after_each: Callable[[LabelRequest], Awaitable[None]],
    ) -> None:
        self._store, self._job, self._pool, self._budget = store, job, pool, budget
        self._policy, self._least_mass = policy, least_mass
        self._store_label, self._after_each = store_label, after_each
        self._random = random.Random()  # waits alone depend on it
        self.done = 0
        self.known = 0  # documents of the pass that had labels when it came to them
        self.errors: Counter[str] = Counter()  # documents without a label, by code
        self.stopped = ""  # why the loop ended early: a code
        self._labels: list[Stored] = []
        self._attempts: list[Attempt] = []
        self._flush: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()  # those without a request under way
        self._room = asyncio.Semaphore(2 * sum(slot.window.most for slot in pool.slots))
        self._ended = asyncio.Event()  # all tasks have ended, or a fatal error has happened

    @property
    def is_over(self) -> bool:
        """Whether nothing new will be asked."""
        return bool(self.stopped) or self._pool.fatal is not None

    async def run(self, requests: AsyncGenerator[LabelRequest, None]) -> None:
        """Ask about all of ``requests``, or until ``stop``. What was answered is in the store.

        Raises RequestError when nothing more can be asked, and any unforeseen error.
        """
        try:
            async with aclosing(requests):
                async for request in requests:
                    await self._room.acquire()
                    if self.is_over:
                        self._store.release([request.key])
                        break
                    self._start(request)
            if self._tasks and self._pool.fatal is None:
                self._ended.clear()
                await self._ended.wait()
        finally:
            await self._drain()
            self._write()
        if self._pool.fatal is not None:
            raise self._pool.fatal
        if sum(self.errors.values()) > max(FEW_ERRORS, self._policy.errors * self.done):
            raise self.too_many_errors()

    def stop(self, why: str) -> None:
        """Ask about nothing new; what is under way is waited for."""
        self.stopped = self.stopped or why
        self._wake()

    def _wake(self) -> None:
        """End the waits for a next try, or a slot, that would lead to nothing."""
        for task in self._idle:
            task.cancel()

    def _start(self, request: LabelRequest) -> None:
        task = asyncio.create_task(self._label_document(request))
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
            _, late = await asyncio.wait(left, timeout=self._policy.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _label_document(self, request: LabelRequest) -> None:
        """Ask until there is an answer, or until asking again cannot help."""
        me = asyncio.current_task()
        assert me is not None
        wait: float | None = 0.0
        try:
            while wait is not None:
                if self.is_over:
                    self._store.release([request.key])
                    return
                self._idle.add(me)
                await asyncio.sleep(wait)  # without a slot, which others use meanwhile
                async with self._pool.slot(exclusive=request.deaths >= SUSPECT) as slot:
                    self._idle.discard(me)
                    came = await self._attempt(slot, request)
                if isinstance(came, Answer):
                    await self._finish(request, came)
                    return
                wait = came
        except BaseException:
            self._store.release([request.key])
            raise

    async def _attempt(self, slot: Slot, request: LabelRequest) -> Answer | float | None:
        """One request: what to note down, or seconds until the next one, or None to give up."""
        need = slot.judge.estimate(request)
        if not self._budget.reserve(need):
            if self._budget.is_waiting:  # for requests that may turn out smaller
                return BUDGET_WAIT_S
            self.stop(BUDGET_SPENT)
            self._store.release([request.key])
            return None
        start = time.monotonic()
        try:
            if not request.is_sent:
                self._store.sent([request.key])
                request.is_sent = True
            answer, usage = await slot.judge.ask(request)
        except RequestError as failure:
            return await self._handle_error(slot, request, failure, time.monotonic() - start)
        except asyncio.CancelledError:
            self._note(request, "lost", Usage(), time.monotonic() - start)
            raise
        finally:
            self._budget.release(need)
        slot.window.answered()
        fault = self._fault(answer)
        self._note(request, fault or "labelled", usage, time.monotonic() - start)
        if fault and not request.retried:
            request.retried = True
            return 0.0
        return answer

    async def _handle_error(
        self, slot: Slot, request: LabelRequest, failure: RequestError, seconds: float
    ) -> Answer | float | None:
        self._note(request, failure.code, failure.usage, seconds)
        if failure.kind == "fatal":
            raise failure
        if failure.kind == "too_long" and slot.judge.shorten(request):
            return 0.0
        if failure.kind == "garbage" and not request.retried:
            request.retried = True
            return 0.0
        if failure.kind in ("too_long", "garbage"):
            slot.window.answered()
            return Answer.refused(failure.code)
        if failure.kind == "refused":  # for a reason that a later run may not meet
            slot.window.answered()
            await self._give_up(request, failure.code)
            return None
        if not await slot.judge.is_alive(failure):
            self._pool.restart(slot)
            request.deaths += 1
            if request.deaths < self._policy.deaths:
                return 0.0
            await self._give_up(request, "server-died")  # perhaps of this very document
            return None
        slot.window.pushed_back(slot.asked - 1)
        if failure.kind == "busy" and failure.after is not None:
            self._pool.pause(slot, failure.after)
        request.tries += 1
        if request.tries >= self._policy.tries:
            await self._give_up(request, failure.code)
            return None
        if failure.after is not None:
            return failure.after * self._random.uniform(1.0, 1.1)
        longest = min(MOST_WAIT_S, self._policy.first_wait_s * 2**request.tries)
        return self._random.uniform(longest / 2, longest)

    async def _finish(self, request: LabelRequest, answer: Answer) -> None:
        self._labels.append(self._store_label(request, answer))
        if self._flush is None:  # once for all answers that this turn of the loop brings
            self._flush = asyncio.get_running_loop().call_soon(self._write_or_fail)
        await self._count(request, self._fault(answer))

    def _fault(self, answer: Answer) -> str:
        """The code of what is wrong with an answer, its mass included."""
        return next(iter(answer.with_least_mass(self._least_mass).errors.values()), "")

    async def _give_up(self, request: LabelRequest, code: str) -> None:
        self._store.release([request.key])
        await self._count(request, code)

    async def _count(self, request: LabelRequest, error: str) -> None:
        self.done += 1
        self.errors.update([error] if error else [])
        await self._after_each(request)
        bad = sum(self.errors.values())
        if error and self.done >= self._policy.few and bad > self._policy.errors * self.done:
            raise self.too_many_errors()

    def too_many_errors(self) -> RequestError:
        """The error for the share of documents without a label."""
        bad = sum(self.errors.values())
        code, message, hint = too_many_errors(bad, self.done, self.errors)
        return RequestError("fatal", code, message, hint=hint)

    def _note(self, request: LabelRequest, outcome: str, usage: Usage, seconds: float) -> None:
        request.paid += usage
        self._budget.paid(usage)
        attempt = Attempt(
            self._job, "", request.key, request.purpose, outcome,
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
