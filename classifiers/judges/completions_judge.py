"""A judge behind /v1/completions, asked in token ids: vLLM, and what speaks as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from classifiers.judges.answers import Answer, Label
from classifiers.judges.http_client import (
    check_status,
    first_choice,
    read_body,
    read_logprobs,
    read_usage,
)
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.prompts import PromptMaker, PromptMakers

# What servers that do not know logprob_token_ids give at most (vLLM before 0.26).
TOP = 20
# Shorter keys ("EMPTY", "x") are no secrets, and may be part of an honest answer.
SECRET = 8


class Connection:
    """A server's address with the session that talks to it. The key is never in an error."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str = "") -> None:
        self._session, self.url, self._key = session, url.rstrip("/"), key

    async def post(self, path: str, payload: Mapping[str, Any]) -> bytes:
        """The body of a reply with status 200. Raises Trouble for everything else."""
        return await self._exchange("POST", path, orjson.dumps(payload))

    async def get(self, path: str) -> bytes:
        return await self._exchange("GET", path, None)

    async def _exchange(self, method: str, path: str, data: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            async with self._session.request(
                method,
                self.url + path,
                data=data,
                headers=headers,
                allow_redirects=False,  # whoever is there would get the key and the documents
            ) as reply:
                body: bytes = await reply.read()
                check_status(reply.status, reply.headers, self._redacted(body))
                return self._redacted(body) if len(self._key) >= SECRET else body
        except TimeoutError:
            raise RequestError("again", "timeout", "no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            message = self._redacted(str(error).encode()).decode()
            raise RequestError("again", "unreachable", message[:200]) from None

    def _redacted(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"(key)") if self._key else body


def check_top(wording: Wording, usage: Usage) -> None:
    """Raises Trouble when the TOP likeliest tokens cannot be all labels of an attribute."""
    for name, attribute in wording.rubric.attributes.items():
        if len(attribute.labels) > TOP:
            message = (
                f"this server names its {TOP} likeliest tokens alone, and {name} has "
                f"{len(attribute.labels)} labels"
            )
            hint = "vLLM 0.26 or newer names any token; or take attributes with fewer labels"
            raise RequestError("fatal", "labels-not-told", message, hint=hint, usage=usage)


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
        """Ids of what the judge says before it answers."""
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
        """Find out how the server tells log probabilities; what asking cost. Raises Trouble when
        it does not tell them at all, or not those of all labels.

        A server that does not know ``logprob_token_ids`` ignores it without a word.
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
        """Nothing can be done here about a server that somebody else runs."""
