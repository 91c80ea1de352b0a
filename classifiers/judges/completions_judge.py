"""A judge behind /v1/completions, asked in token ids: vLLM, and servers with its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.judges.answers import Answer, Label
from classifiers.judges.http_client import (
    TOP,
    Connection,
    check_top,
    first_choice,
    read_body,
    read_logprobs,
    read_usage,
)
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.prompts import PromptMaker, PromptMakers


class CompletionsJudge:
    """Asks one server, with prompts that ``makers`` make."""

    def __init__(self, connection: Connection, model: str, makers: PromptMakers) -> None:
        self.connection, self.model, self.makers = connection, model, makers
        self.name = connection.url
        self.only_top = False  # whether the server names its likeliest tokens alone

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        maker = self.makers.of(request.wording)
        if not request.ids:  # a probe
            request.ids = maker.encode([request.text])[0]
        if not request.wording.rationale_tokens:
            labels, usage = await self._labels(maker.questions(request.ids), maker.answer_ids)
            return Answer(labels, {}), usage
        prompt = maker.rationale(request.ids)
        paid = Usage()
        if request.rationale_ids is None:
            request.rationale_ids, paid = await self._rationale(prompt, maker)
        try:
            prompts = maker.verdicts(prompt, request.rationale_ids)
            labels, usage = await self._labels(prompts, maker.verdict_ids)
        except RequestError as failure:
            failure.usage += paid
            raise
        return Answer(labels, {}, maker.tokenizer.text(request.rationale_ids)), paid + usage

    async def _labels(
        self, prompts: Sequence[list[int]], answers: Mapping[str, list[int]]
    ) -> tuple[dict[str, Label], Usage]:
        """The label of each attribute from one request of as many prompts."""
        wanted = sorted({number for ids in answers.values() for number in ids})
        payload = self._payload(prompts, wanted)
        body = read_body(await self.connection.post("/v1/completions", payload), self.model)
        usage = read_usage(body)
        try:
            choices = sorted(body["choices"], key=lambda choice: choice["index"])
            if [choice["index"] for choice in choices] != list(range(len(prompts))):
                raise RequestError("garbage", "wrong-choices", "not one choice for each prompt")
            labels = {
                name: Label.of_logprobs(read_logprobs(choice, ids, only_top=self.only_top))
                for (name, ids), choice in zip(answers.items(), choices, strict=True)
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError("garbage", "bad-choices", str(error)[:200], usage=usage) from None
        except RequestError as failure:
            failure.usage = usage
            raise
        return labels, usage

    async def _rationale(self, prompt: list[int], maker: PromptMaker) -> tuple[list[int], Usage]:
        """Ids of the rationale before the answer."""
        payload = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": maker.wording.rationale_tokens,
            "temperature": 0,
            "return_token_ids": True,
        }
        body = read_body(await self.connection.post("/v1/completions", payload), self.model)
        usage = read_usage(body)
        choice = first_choice(body)
        ids = choice.get("token_ids")
        if isinstance(ids, list) and all(isinstance(number, int) for number in ids):
            return ids, usage
        if isinstance(rationale_ids := choice.get("text"), str):  # a server that gives text alone
            return maker.tokenizer.documents([rationale_ids], len(rationale_ids) + 1, "head")[
                0
            ], usage
        raise RequestError("garbage", "no-text", "the reply holds no text", usage=usage)

    def estimate(self, request: LabelRequest) -> Usage:
        return self.makers.of(request.wording).estimate(request)

    def shorten(self, request: LabelRequest) -> bool:
        return self.makers.shorten(request)

    async def check_labels(self, wording: Wording) -> Usage:
        """Find out how the server reports log probabilities; what that cost. Raises RequestError
        when it reports none at all, or not those of all labels.

        A server that does not know ``logprob_token_ids`` ignores it.
        """
        maker = self.makers.of(wording)
        ids = sorted({number for ids in maker.answer_ids.values() for number in ids})
        payload = self._payload(maker.questions(maker.encode(["?"])[0])[:1], ids)
        body = read_body(await self.connection.post("/v1/completions", payload), self.model)
        usage = read_usage(body)
        try:
            read_logprobs(first_choice(body), ids, only_top=self.only_top)
        except RequestError as failure:
            failure.usage = usage
            if failure.code != "labels-missing":
                raise
            self.only_top = True
        if self.only_top:
            check_top(wording, usage)
        return usage

    def _payload(self, prompts: Sequence[list[int]], ids: Sequence[int]) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self.model,
            "prompt": prompts,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": TOP if self.only_top else 1,
            "return_tokens_as_token_ids": True,
        }
        return payload if self.only_top else payload | {"logprob_token_ids": ids}

    async def is_alive(self, failure: RequestError) -> bool:
        return True

    async def restart(self) -> None:
        """A server that was not started here cannot be restarted here."""
