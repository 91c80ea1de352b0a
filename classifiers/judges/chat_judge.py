"""A judge behind /v1/chat/completions, asked in text: for servers that take no token ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.judges.answers import MISSING, Answer, Label
from classifiers.judges.http_client import TOP, Connection, check_top, read_body, read_usage
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.prompts import (
    RATIONALE_LINE,
    document_id,
    mark_of,
    marked,
    question_line,
    system_text,
)
from classifiers.judges.rubric import Attribute

# Text that servers turn into control tokens: <|…|> of most models, <s> and [INST] of Llama 2 and
# Mistral, [gMASK] of GLM, <start_of_turn> of Gemma, <think>, <extra_id_0> and the like. A
# zero-width space breaks it up.
_CONTROL = re.compile(r"<(?=\||/?[A-Za-z0-9_]+>|｜)|\[(?=/?g?[A-Z_]{3,}\])")
_BREAK = "\u200b"
Message = dict[str, str]
# About as many characters as tokens: a server of unknown tokenizer counts by itself.
CHARACTERS = 4
SHORTEST = 64  # characters of a document below which half of it would say nothing
BYTES = 3  # as many to a token, or more, in most languages
LINE_TOKENS = 100  # a question and what a template puts around messages


def broken_up(text: str) -> str:
    """``text`` with everything that may be read as a control token broken up."""
    return _CONTROL.sub(lambda found: found[0] + _BREAK, text)


class ChatJudge:
    """Asks one server, attribute by attribute. The document's length is cut in characters, four
    to a token, for the server's tokenizer is not known."""

    def __init__(self, connection: Connection, model: str) -> None:
        self.connection, self.model = connection, model
        self.name = connection.url

    def _document(self, request: LabelRequest) -> str:
        wording, text = request.wording, request.text
        # Half of what was sent, which may have been less than the limit.
        limit = min(len(text), wording.limit * CHARACTERS) // (2 if request.shortened else 1)
        if len(text) > limit:
            text = (
                text[:limit] if wording.keep == "head" else text[: limit // 2] + text[-limit // 2 :]
            )
        return marked(mark_of(document_id(request.text)), broken_up(text))

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        paid = Usage()
        head = [_system(request.wording), {"role": "user", "content": self._document(request)}]
        try:
            if request.wording.rationale_tokens and request.rationale_text is None:
                request.rationale_text, usage = await self._rationale(
                    head, request.wording.rationale_tokens
                )
                paid += usage
            rationale_text = request.rationale_text or ""
            for name, attribute in request.wording.rubric.attributes.items():
                if name not in request.partial_labels:
                    request.partial_labels[name], usage = await self._label(
                        head, name, attribute, rationale_text
                    )
                    paid += usage
        except RequestError as failure:
            failure.usage += paid
            raise
        labels, request.partial_labels = request.partial_labels, {}
        return Answer(labels, {}, rationale_text), paid

    async def _post(self, messages: Sequence[Message], **more: Any) -> Mapping[str, Any]:
        payload = {"model": self.model, "messages": messages, "temperature": 0, **more}
        return read_body(await self.connection.post("/v1/chat/completions", payload), self.model)

    async def _rationale(self, head: list[Message], tokens: int) -> tuple[str, Usage]:
        body = await self._post(_ending(head, RATIONALE_LINE), max_tokens=tokens)
        return _content(body), read_usage(body)

    async def _label(
        self, head: list[Message], name: str, attribute: Attribute, rationale_text: str
    ) -> tuple[Label, Usage]:
        line = question_line(name, attribute)
        messages = _ending(head, RATIONALE_LINE if rationale_text else line)
        if rationale_text:
            messages.append({"role": "assistant", "content": rationale_text})
            messages.append({"role": "user", "content": line})
        body = await self._post(messages, max_tokens=1, logprobs=True, top_logprobs=TOP)
        usage = read_usage(body)
        try:
            found = _top(body, attribute.answers)
            return Label.of_logprobs(found), usage
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise RequestError("garbage", "bad-choices", str(error)[:200], usage=usage) from None

    def estimate(self, request: LabelRequest) -> Usage:
        wording = request.wording
        text = _system(wording)["content"] + self._document(request)
        # Bytes, for in scripts other than Latin a character is a token or more.
        once = len(text.encode()) // BYTES + LINE_TOKENS
        asked = len(wording.rubric.attributes)
        if not (most := wording.rationale_tokens):
            return Usage(asked * once, 0, asked)
        return Usage((asked + 1) * once + asked * most, 0, asked + most)

    def shorten(self, request: LabelRequest) -> bool:
        if request.shortened or len(request.text) < SHORTEST:
            return False
        request.shortened, request.rationale_text, request.partial_labels = True, None, {}
        return True

    async def check_labels(self, wording: Wording) -> Usage:
        """The first answer shows whether there are log probabilities; there are at most TOP."""
        check_top(wording, Usage())
        return Usage()

    async def is_alive(self, failure: RequestError) -> bool:
        return True

    async def restart(self) -> None:
        """A server that was not started here cannot be restarted here."""


def _system(wording: Wording) -> Message:
    return {"role": "system", "content": system_text(wording.rubric, reverse=wording.reverse)}


def _ending(head: Sequence[Message], line: str) -> list[Message]:
    """System and user message, with ``line`` as the last words of the user's."""
    return [head[0], {"role": "user", "content": f"{head[1]['content']}\n\n{line}"}]


def _content(body: Mapping[str, Any]) -> str:
    try:
        return str(body["choices"][0]["message"]["content"] or "")
    except (KeyError, TypeError, IndexError) as error:
        usage = read_usage(body)
        raise RequestError("garbage", "no-text", "the reply holds no text", usage=usage) from error


def _top(body: Mapping[str, Any], answers: Sequence[str]) -> list[float]:
    """Log probabilities [answers]; a token counts for an answer with or without spaces around."""
    logprobs = body["choices"][0]["logprobs"]
    if not logprobs:
        raise ValueError("the server gives no log probabilities")
    found = dict.fromkeys(answers, MISSING)
    for entry in logprobs["content"][0]["top_logprobs"]:
        answer = str(entry["token"]).strip()
        if answer in found:
            found[answer] = max(found[answer], float(entry["logprob"]))
    return list(found.values())
