"""A judge behind /v1/chat/completions, asked in text: for servers that take no token ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.labelling.answers import MISSING, Answer, Label
from classifiers.labelling.completions_judge import TOP, Connection
from classifiers.labelling.http_replies import read_body, read_usage
from classifiers.labelling.judge import Trouble, Usage, Work
from classifiers.labelling.prompts import (
    RATIONALE_LINE,
    document_id,
    mark_of,
    marked,
    question_line,
    system_text,
    verdict_line,
)
from classifiers.labelling.rubric import Attribute, Rubric
from classifiers.labelling.tokens import CHARACTERS_PER_TOKEN, Truncation

# Text that servers turn into control tokens: <|…|> of most models, <s> and [INST] of Llama 2 and
# Mistral, <start_of_turn> of Gemma, <think> and the like. A zero-width space breaks it up.
_CONTROL = re.compile(r"<(?=\||/?[A-Za-z_]+>|｜)|\[(?=/?(?:INST|SYS|TOOL|AVAILABLE)[A-Z_]*\])")
_BREAK = "\u200b"
# About as many characters as tokens: a server of unknown tokenizer counts by itself.
CHARACTERS = 4


def broken_up(text: str) -> str:
    """``text`` with everything that may be read as a control token broken up."""
    return _CONTROL.sub(lambda found: found[0] + _BREAK, text)


class ChatJudge:
    """Asks one server, attribute by attribute. The document's length is cut in characters, four
    to a token, for the server's tokenizer is not known."""

    def __init__(
        self,
        connection: Connection,
        model: str,
        rubric: Rubric,
        *,
        limit: int,
        keep: Truncation,
        rationale_tokens: int = 0,
        reverse: bool = False,
    ) -> None:
        self.connection, self.model, self.rubric = connection, model, rubric
        self.name = connection.url
        self._limit, self._keep = limit * CHARACTERS, keep
        self._rationale_tokens = rationale_tokens
        self._system = {"role": "system", "content": system_text(rubric, reverse=reverse)}

    def _document(self, work: Work) -> str:
        limit = self._limit // 2 if work.shortened else self._limit
        text = work.text
        if len(text) > limit:
            text = (
                text[:limit] if self._keep == "head" else text[: limit // 2] + text[-limit // 2 :]
            )
        return marked(mark_of(document_id(work.text)), broken_up(text))

    async def ask(self, work: Work) -> tuple[Answer, Usage]:
        document, reasons, paid = self._document(work), "", Usage()
        labels: dict[str, Label] = {}
        try:
            if self._rationale_tokens:
                reasons, usage = await self._reasons(document)
                paid += usage
            for name, attribute in self.rubric.attributes.items():
                label, usage = await self._label(document, name, attribute, reasons)
                labels[name] = label
                paid += usage
        except Trouble as trouble:
            trouble.usage += paid
            raise
        return Answer(labels, {}, reasons), paid

    async def _post(self, messages: Sequence[Mapping[str, str]], **more: Any) -> Mapping[str, Any]:
        payload = {"model": self.model, "messages": messages, "temperature": 0, **more}
        return read_body(await self.connection.post("/v1/chat/completions", payload), self.model)

    async def _reasons(self, document: str) -> tuple[str, Usage]:
        user = {"role": "user", "content": f"{document}\n\n{RATIONALE_LINE}"}
        body = await self._post([self._system, user], max_tokens=self._rationale_tokens)
        return _content(body), read_usage(body)

    async def _label(
        self, document: str, name: str, attribute: Attribute, reasons: str
    ) -> tuple[Label, Usage]:
        line = question_line(name, attribute)
        messages = [self._system, {"role": "user", "content": f"{document}\n\n{line}"}]
        if reasons:
            messages[1]["content"] = f"{document}\n\n{RATIONALE_LINE}"
            messages.append({"role": "assistant", "content": reasons})
            messages.append({"role": "user", "content": f"{verdict_line(name).strip()}\n{line}"})
        body = await self._post(messages, max_tokens=1, logprobs=True, top_logprobs=TOP)
        usage = read_usage(body)
        try:
            found = _top(body, attribute.answers)
            return Label.of_logprobs(found), usage
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise Trouble("garbage", "bad-choices", str(error)[:200], usage=usage) from None

    def shorten(self, work: Work) -> bool:
        if work.shortened or len(work.text) < CHARACTERS_PER_TOKEN:
            return False
        work.shortened = True
        return True

    async def check_labels(self) -> Usage:
        """Nothing to find out: the first answer shows whether there are log probabilities."""
        return Usage()

    async def is_alive(self) -> bool:
        return True

    async def revive(self) -> None:
        """Nothing can be done here about a server that somebody else runs."""


def _content(body: Mapping[str, Any]) -> str:
    try:
        return str(body["choices"][0]["message"]["content"] or "")
    except (KeyError, TypeError, IndexError) as error:
        usage = read_usage(body)
        raise Trouble("garbage", "no-text", "the reply holds no text", usage=usage) from error


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
