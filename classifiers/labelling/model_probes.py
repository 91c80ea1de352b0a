"""Finds out when the model behind a name is not the one that it was.

A few fixed documents are asked about when labelling begins, every so often, and at its end. The
first answers ever are kept in the label store; a judge that answers otherwise is another model.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from classifiers.judges.judge import Judge, LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording, label_key
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_store import Attempt, LabelStore
from winnow import digest

TRIES = 4
EVERY = 500  # documents between two probes
# The same model answers the same within about 0.01 in other company (batches round differently);
# another one is further off, on one of the documents at least.
TOLERANCE = 0.1
LIMIT = 256

_TEXTS = (
    "Water boils at a lower temperature on a mountain, because the air presses on it less. This "
    "is why beans take longer to cook up there.",
    "BEST DEALS!!! click here click here cheap watches cheap shoes free shipping order now",
    "def area(width, height):\n    return width * height\n",
    "Der Zug nach Hamburg fährt heute von Gleis sieben ab und hat etwa zehn Minuten Verspätung.",
)
_RUBRIC = Rubric(
    name="probe",
    version=1,
    instruction="You grade short texts. Give each a grade for how much it explains.",
    attributes={
        "explains": Attribute(
            question="How much does the text explain?",
            scale={"0": "nothing", "1": "little", "2": "something", "3": "much"},
        )
    },
)
WORDING = Wording(_RUBRIC, LIMIT)
# Answers to other words are no sign of another model.
ASKED = digest([WORDING.id, *_TEXTS])[:32]


class ModelProbes:
    """Compares one job's judges, which must all be the same model, with the first answers ever."""

    def __init__(self, store: LabelStore, judge: str) -> None:
        self._store, self._judge = store, judge

    async def check(self, judge: Judge) -> Usage:
        """Ask and compare; what that cost. Raises a fatal RequestError for another model."""
        answers, paid = await self._ask(judge)
        self._store.set_probe(self._judge, ASKED, answers)  # unless there are first ones
        known = self._store.probe(self._judge, ASKED) or answers
        apart = max(abs(a - b) for a, b in zip(answers, known, strict=True))
        if apart > TOLERANCE:
            message = (
                f"{judge.name} is not the model it was: an answer to a probe is {apart:.2f} off"
            )
            hint = "serve the model that the manifest pins; for another one set another revision"
            raise RequestError("fatal", "model-changed", message, hint=hint, usage=paid)
        return paid

    async def _ask(self, judge: Judge) -> tuple[Sequence[float], Usage]:
        answers: list[float] = []
        paid = Usage()
        for text in _TEXTS:
            document = hashlib.sha256(text.encode()).digest()
            key = label_key(self._judge, WORDING.id, document)
            try:
                answer, usage = await judge.ask(LabelRequest(key, text, WORDING, purpose="probe"))
            except RequestError as failure:
                failure.usage += paid
                raise
            paid += usage
            for label in answer.labels.values():
                answers += label.probabilities
        return answers, paid


class ModelMonitor:
    """Asks the probes now and then, and withdraws what was labelled since they were last answered
    as before when the model has changed."""

    def __init__(
        self,
        store: LabelStore,
        job: str,
        probes: ModelProbes,
        judges: list[Judge],
        budget: BudgetTracker,
    ) -> None:
        self._store, self._job, self._probes = store, job, probes
        self._judges, self._budget = judges, budget
        self._since: list[bytes] = []
        self._next = EVERY
        self._checking = asyncio.Lock()

    async def start(self, wording: Wording) -> None:
        """Find out how labels are reported, then probe."""
        for judge in self._judges:
            for asked in (wording, WORDING):
                await self._with_retries(judge, partial(judge.check_labels, asked), TRIES)
        before = self._budget.used
        await self.check(TRIES)
        self._budget.keep(self._budget.used - before)  # for the last probes

    async def finished(self, request: LabelRequest) -> None:
        self._since.append(request.key)
        if len(self._since) >= self._next and not self._checking.locked():
            await self.check()

    async def check(self, tries: int = 1) -> None:
        """Raises RequestError when a judge is another model than it was, and when one of several
        tries was not answered. After a single try, the next probes are somewhat later."""
        async with self._checking:
            before = len(self._since)
            for judge in self._judges:
                try:
                    await self._with_retries(judge, partial(self._probes.check, judge), tries)
                except RequestError as failure:
                    if failure.kind == "fatal":
                        raise
                    self._next = len(self._since) + EVERY
                    return
            del self._since[:before]
            self._next = EVERY

    def withdraw(self) -> None:
        """Take back everything since the last good probes: it may be of another model."""
        self._store.withdraw(self._since)

    async def _with_retries(
        self, judge: Judge, ask: Callable[[], Awaitable[Usage]], tries: int
    ) -> None:
        """Ask, again where that may help. Raises the last RequestError, as a fatal one after
        several ``tries``."""
        for turn in range(tries):
            try:
                self._pay(await ask(), "labelled")
                return
            except RequestError as failure:
                self._pay(failure.usage, failure.code)
                if failure.kind == "fatal" or tries == 1:
                    raise
                if failure.kind == "refused" or turn == tries - 1:
                    message = f"{judge.name} gave no answer: {failure.code} {failure.message}"
                    raise RequestError("fatal", "no-answer", message) from None
                wait = 0.5 * 2**turn if failure.after is None else failure.after
                await asyncio.sleep(wait)

    def _pay(self, usage: Usage, outcome: str) -> None:
        self._budget.paid(usage)
        attempt = Attempt(
            self._job, "", None, "probe", outcome, usage.prompt, usage.cached, usage.completion
        )
        if usage != Usage():
            self._store.write([], [attempt])
