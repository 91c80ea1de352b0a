"""A judge in this very process, by transformers: the reference for what servers answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from classifiers.labelling.answers import Answer, Label
from classifiers.labelling.identity import Wording
from classifiers.labelling.judge import Trouble, Usage, Work
from classifiers.labelling.prompts import PromptMaker, PromptMakers
from winnow import WinnowError

TOGETHER = 64  # documents of one pass through the model; it makes batches of like length itself


class Model(Protocol):
    """What is needed of a model; TransformersServer has it. ``max_length`` is the most tokens of a
    prompt with its answer."""

    max_length: int

    def logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Natural-log probabilities [prompts, labels] of the next token."""

    def generate(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        """Ids that follow each prompt, greedily."""


class LocalJudge:
    """Collects what is asked while the model is at work, and asks it all at once then."""

    name = "transformers"

    def __init__(self, model: Model, makers: PromptMakers) -> None:
        self._model, self.makers = model, makers
        self._waiting: list[tuple[Work, asyncio.Future[tuple[Answer, Usage]]]] = []
        self._busy: asyncio.Task[None] | None = None

    async def ask(self, work: Work) -> tuple[Answer, Usage]:
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answered))
        if self._busy is None:
            self._busy = asyncio.create_task(self._answer_all())
        result: tuple[Answer, Usage] = await answered
        return result

    async def _answer_all(self) -> None:
        await asyncio.sleep(0)  # let everybody who can ask now do so
        while self._waiting:
            first = self._waiting[0][0].wording
            together = [item for item in self._waiting if item[0].wording.id == first.id][:TOGETHER]
            self._waiting = [item for item in self._waiting if item not in together]
            works = [work for work, _ in together]
            answers: Sequence[tuple[Answer, Usage] | Exception]
            try:
                answers = await asyncio.to_thread(self._answers, works, first)
            except WinnowError as error:
                fatal = Trouble("fatal", error.code, error.message, hint=error.hint)
                answers = [fatal] * len(works)
            except Exception as error:  # noqa: BLE001 - raised to all who wait: they would for ever
                message = f"{type(error).__name__}: {error}"[:300]
                answers = [Trouble("fatal", "model-failed", message)] * len(works)
            for (_, answered), answer in zip(together, answers, strict=True):
                if answered.done():  # nobody waits for it any more
                    continue
                if isinstance(answer, Exception):
                    answered.set_exception(answer)
                else:
                    answered.set_result(answer)
        self._busy = None

    def _answers(
        self, works: Sequence[Work], wording: Wording
    ) -> list[tuple[Answer, Usage] | Exception]:
        """What is said of each document, or the Trouble with it."""
        maker = self.makers.of(wording)
        for work in works:
            work.ids = work.ids or maker.encode([work.text])[0]
        fits = [self._fits(maker, work) for work in works]
        asked = [work for work, fit in zip(works, fits, strict=True) if fit]
        found = iter(self._of_fitting(asked, maker) if asked else ())
        long = Trouble("too_long", "context-too-long", f"more than {self._model.max_length} tokens")
        return [next(found) if fit else long for fit in fits]

    def _fits(self, maker: PromptMaker, work: Work) -> bool:
        """Whether there is room for the longest prompt about it and its answer."""
        return maker.longest(work) < self._model.max_length

    def _of_fitting(
        self, works: Sequence[Work], maker: PromptMaker
    ) -> list[tuple[Answer, Usage] | Exception]:
        wording = maker.wording
        said: list[list[int]] = [[] for _ in works]
        if wording.rationale_tokens:
            prompts = [maker.rationale(work.ids) for work in works]
            said = self._model.generate(prompts, wording.rationale_tokens)
            asked = [maker.verdicts(p, s) for p, s in zip(prompts, said, strict=True)]
            paid = [len(prompt) for prompt in prompts]
            answers = maker.verdict_ids
        else:
            asked = [maker.questions(work.ids) for work in works]
            paid = [0] * len(works)
            answers = maker.answer_ids
        labels = self._labels(asked, answers)
        found: list[tuple[Answer, Usage] | Exception] = []
        for label, spoken, before, prompts in zip(labels, said, paid, asked, strict=True):
            usage = Usage(before + sum(map(len, prompts)), 0, len(spoken) + len(prompts))
            if isinstance(label, Trouble):
                label.usage = usage
                found.append(label)
            else:
                found.append((Answer(label, {}, maker.codec.text(spoken)), usage))
        return found

    def _labels(
        self, asked: Sequence[Sequence[list[int]]], answers: dict[str, list[int]]
    ) -> list[dict[str, Label] | Trouble]:
        """Labels by attribute [documents] of the prompts [documents][attributes]."""
        wanted = sorted({number for ids in answers.values() for number in ids})
        column = {number: place for place, number in enumerate(wanted)}
        flat = self._model.logprobs([prompt for prompts in asked for prompt in prompts], wanted)
        found = flat.reshape(len(asked), len(answers), len(wanted))
        labels: list[dict[str, Label] | Trouble] = []
        for rows in found:
            try:
                labels.append(
                    {
                        name: Label.of_logprobs(rows[place, [column[n] for n in ids]].tolist())
                        for place, (name, ids) in enumerate(answers.items())
                    }
                )
            except ValueError as error:  # NaN where a model's numbers overflow
                labels.append(Trouble("garbage", "bad-choices", str(error)[:200]))
        return labels

    def estimate(self, work: Work) -> Usage:
        return self.makers.of(work.wording).estimate(work)

    def shorten(self, work: Work) -> bool:
        return self.makers.shorten(work)

    async def check_labels(self, wording: Wording) -> Usage:
        """Makes the prompts, which shows whether every answer is one token."""
        self.makers.of(wording)
        return Usage()

    async def is_alive(self, trouble: Trouble) -> bool:
        return True

    async def revive(self) -> None:
        """It lives as long as this process."""
