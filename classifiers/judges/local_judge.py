"""A judge in this very process, by transformers: the reference for what servers answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.prompts import PromptMaker, PromptMakers
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
        self._waiting: list[tuple[LabelRequest, asyncio.Future[tuple[Answer, Usage]]]] = []
        self._busy: asyncio.Task[None] | None = None

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answered))
        if self._busy is None:
            self._busy = asyncio.create_task(self._answer_all())
        result: tuple[Answer, Usage] = await answered
        return result

    async def _answer_all(self) -> None:
        await asyncio.sleep(0)  # collect the requests of all tasks that can run now
        while self._waiting:
            first = self._waiting[0][0].wording
            together = [item for item in self._waiting if item[0].wording.id == first.id][:TOGETHER]
            self._waiting = [item for item in self._waiting if item not in together]
            requests = [request for request, _ in together]
            answers: Sequence[tuple[Answer, Usage] | Exception]
            try:
                answers = await asyncio.to_thread(self._answers, requests, first)
            except WinnowError as error:
                fatal = RequestError("fatal", error.code, error.message, hint=error.hint)
                answers = [fatal] * len(requests)
            except Exception as error:  # noqa: BLE001 - raised in every waiting task, which would wait for ever
                message = f"{type(error).__name__}: {error}"[:300]
                answers = [RequestError("fatal", "model-failed", message)] * len(requests)
            for (_, answered), answer in zip(together, answers, strict=True):
                if answered.done():  # its task was cancelled
                    continue
                if isinstance(answer, Exception):
                    answered.set_exception(answer)
                else:
                    answered.set_result(answer)
        self._busy = None

    def _answers(
        self, requests: Sequence[LabelRequest], wording: Wording
    ) -> list[tuple[Answer, Usage] | Exception]:
        """The answer about each document, or the RequestError with it."""
        maker = self.makers.of(wording)
        for request in requests:
            request.ids = request.ids or maker.encode([request.text])[0]
        fits = [self._fits(maker, request) for request in requests]
        asked = [request for request, fit in zip(requests, fits, strict=True) if fit]
        found = iter(self._of_fitting(asked, maker) if asked else ())
        long = RequestError(
            "too_long", "context-too-long", f"more than {self._model.max_length} tokens"
        )
        return [next(found) if fit else long for fit in fits]

    def _fits(self, maker: PromptMaker, request: LabelRequest) -> bool:
        """Whether there is room for the longest prompt about it and its answer."""
        return maker.longest(request) < self._model.max_length

    def _of_fitting(
        self, requests: Sequence[LabelRequest], maker: PromptMaker
    ) -> list[tuple[Answer, Usage] | Exception]:
        wording = maker.wording
        rationales: list[list[int]] = [[] for _ in requests]
        if wording.rationale_tokens:
            prompts = [maker.rationale(request.ids) for request in requests]
            rationales = self._model.generate(prompts, wording.rationale_tokens)
            asked = [maker.verdicts(p, s) for p, s in zip(prompts, rationales, strict=True)]
            paid = [len(prompt) for prompt in prompts]
            answers = maker.verdict_ids
        else:
            asked = [maker.questions(request.ids) for request in requests]
            paid = [0] * len(requests)
            answers = maker.answer_ids
        labels = self._labels(asked, answers)
        found: list[tuple[Answer, Usage] | Exception] = []
        for label, spoken, before, prompts in zip(labels, rationales, paid, asked, strict=True):
            usage = Usage(before + sum(map(len, prompts)), 0, len(spoken) + len(prompts))
            if isinstance(label, RequestError):
                label.usage = usage
                found.append(label)
            else:
                found.append((Answer(label, {}, maker.tokenizer.text(spoken)), usage))
        return found

    def _labels(
        self, asked: Sequence[Sequence[list[int]]], answers: dict[str, list[int]]
    ) -> list[dict[str, Label] | RequestError]:
        """Labels by attribute [documents] of the prompts [documents][attributes]."""
        wanted = sorted({number for ids in answers.values() for number in ids})
        column = {number: place for place, number in enumerate(wanted)}
        flat = self._model.logprobs([prompt for prompts in asked for prompt in prompts], wanted)
        found = flat.reshape(len(asked), len(answers), len(wanted))
        labels: list[dict[str, Label] | RequestError] = []
        for rows in found:
            try:
                labels.append(
                    {
                        name: Label.of_logprobs(rows[place, [column[n] for n in ids]].tolist())
                        for place, (name, ids) in enumerate(answers.items())
                    }
                )
            except ValueError as error:  # NaN where a model's numbers overflow
                labels.append(RequestError("garbage", "bad-choices", str(error)[:200]))
        return labels

    def estimate(self, request: LabelRequest) -> Usage:
        return self.makers.of(request.wording).estimate(request)

    def shorten(self, request: LabelRequest) -> bool:
        return self.makers.shorten(request)

    async def check_labels(self, wording: Wording) -> Usage:
        """Makes the prompts, which shows whether every answer is one token."""
        self.makers.of(wording)
        return Usage()

    async def is_alive(self, failure: RequestError) -> bool:
        return True

    async def restart(self) -> None:
        """It lives as long as this process."""
