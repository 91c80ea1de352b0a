"""Judges asked in text over HTTP, attribute by attribute."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelling_jobs import GRADES
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.chat_judge import ChatJudge, broken_up
from classifiers.judges.http_client import Connection
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.prompts import document_id, mark_of
from classifiers.judges.rubric import Attribute, Rubric

T = TypeVar("T")
THREE = GRADES.model_copy(
    update={"attributes": dict.fromkeys(("a", "b", "c"), GRADES.attributes["clarity"])}
)


def talk(server: ScriptedServer, ask: Callable[[ChatJudge], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with aiohttp.ClientSession() as session:
            return await ask(ChatJudge(Connection(session, server.url), "judge"))

    return asyncio.run(whole())


def work_on(text: str, rubric: Rubric = GRADES, tokens: int = 0, limit: int = 64) -> LabelRequest:
    return LabelRequest(b"key", text, Wording(rubric, limit, "ends", tokens))


def test_every_attribute_is_asked_and_its_likeliest_tokens_read() -> None:
    with ScriptedServer() as server:
        answer, usage = talk(server, lambda judge: judge.ask(work_on("text", THREE)))
    assert list(answer.labels) == ["a", "b", "c"]
    assert all(label.mass == pytest.approx(0.95) for label in answer.labels.values())
    assert usage.completion == 3
    for name, asked in zip("abc", server.requests, strict=True):
        system, user = asked.json["messages"]
        assert GRADES.instruction in system["content"]
        assert f"by the attribute {name}:" in user["content"].splitlines()[-2]
        assert user["content"].count(f"[{mark_of(document_id('text'))}]") == 2


def test_answers_with_spaces_around_count_once() -> None:
    top = [{"token": token, "logprob": value}
           for token, value in ((" 0", -3.0), ("0", -0.7), ("1", -1.2), ("x", -2.0))]  # fmt: skip

    def script(asked: Asked) -> Reply:
        logprobs = {"content": [{"top_logprobs": top}]}
        choice = {"message": {"content": "0"}, "logprobs": logprobs}
        return Reply(body=json.dumps({"choices": [choice]}).encode())

    with ScriptedServer(script=script) as server:
        answer, _ = talk(server, lambda judge: judge.ask(work_on("x")))
    label = answer.labels["clarity"]
    assert label.probabilities[0] == pytest.approx(0.6225, abs=1e-3)
    assert label.probabilities[2] == 0.0


def test_attributes_that_were_answered_are_not_paid_again() -> None:
    request = work_on("x", THREE, tokens=16)

    async def twice(judge: ChatJudge) -> tuple[Any, Usage, Usage]:
        with pytest.raises(RequestError, match="http-429") as caught:
            await judge.ask(request)
        answer, usage = await judge.ask(request)
        return answer, caught.value.usage, usage

    with ScriptedServer() as server:
        server.script = lambda asked: Reply(429) if asked.number == 3 else None
        answer, first, second = talk(server, twice)
    assert len(server.requests) == 1 + 3 + 1, "reasons, then three attributes, one of them twice"
    assert len(answer.labels) == 3
    assert first.prompt + second.prompt == server.tokens["prompt"]
    assert answer.rationale == "It explains a little."


def test_low_mass_asks_about_every_attribute_again() -> None:
    request = work_on("x", THREE)

    async def twice(judge: ChatJudge) -> None:
        await judge.ask(request)
        await judge.ask(request)

    with ScriptedServer() as server:
        talk(server, twice)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "choices",
    [[], ["x"], [{"message": {"content": "0"}}], [{"logprobs": None}], [{"logprobs": {}}],
     [{"logprobs": {"content": []}}], [{"logprobs": {"content": [{"top_logprobs": [{}]}]}}],
     [{"logprobs": {"content": [{"top_logprobs": [{"token": "0", "logprob": "x"}]}]}}]],
)  # fmt: skip
def test_answers_without_log_probabilities_are_garbage(choices: list[Any]) -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(body=json.dumps({"choices": choices}).encode())
        with pytest.raises(RequestError) as caught:
            talk(server, lambda judge: judge.ask(work_on("x")))
    assert caught.value.kind == "garbage"


def test_reasons_that_are_none_are_garbage() -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(body=b'{"choices": ["x"]}')
        with pytest.raises(RequestError, match="no-text"):
            talk(server, lambda judge: judge.ask(work_on("x", tokens=8)))


def test_more_labels_than_likeliest_tokens_are_refused() -> None:
    choices = {f"c{n}": "x" for n in range(21)}
    many = GRADES.model_copy(
        update={"attributes": {"kind": Attribute(question="?", choices=choices)}}
    )
    with ScriptedServer() as server, pytest.raises(RequestError, match="kind has 21 labels"):
        talk(server, lambda judge: judge.check_labels(Wording(many, 64)))
    assert server.requests == []


def test_long_documents_are_cut_by_their_characters_and_once_more_to_half() -> None:
    request = work_on("a" * 150 + "b" * 1_000 + "c" * 150, limit=64)

    async def twice(judge: ChatJudge) -> None:
        await judge.ask(request)
        assert judge.shorten(request)
        assert not judge.shorten(request)
        await judge.ask(request)

    with ScriptedServer() as server:
        talk(server, twice)
    first, second = (asked.json["messages"][1]["content"] for asked in server.requests)
    assert "a" * 128 + "c" * 128 in first
    assert "a" * 129 not in first
    assert "a" * 64 + "c" * 64 in second
    assert "a" * 65 not in second


def test_a_document_below_the_limit_is_cut_too_for_its_script_may_take_more_tokens() -> None:
    request = work_on("日" * 100 + "本" * 100, limit=1_000)

    async def twice(judge: ChatJudge) -> None:
        await judge.ask(request)
        assert judge.shorten(request)
        await judge.ask(request)

    with ScriptedServer() as server:
        talk(server, twice)
    first, second = (asked.json["messages"][1]["content"] for asked in server.requests)
    assert first.count("日") + first.count("本") == 200
    assert second.count("日") + second.count("本") == 100


def test_a_document_of_a_few_words_is_not_cut() -> None:
    judge = ChatJudge.__new__(ChatJudge)
    assert not judge.shorten(work_on("a few words", limit=64))


@pytest.mark.parametrize("text", ["plain words " * 40, "日本語の文章" * 60, "Ελληνικά " * 60])
def test_estimates_are_no_less_than_a_usual_tokenizer_makes(text: str) -> None:
    """A token is about four Latin letters, or one of other scripts' characters at the least."""
    request = work_on(text, limit=10_000)
    judge = ChatJudge.__new__(ChatJudge)
    latin = len(text) / 4 if text.isascii() else len(text)
    assert judge.estimate(request).prompt >= latin


@given(st.text(st.sampled_from("<|>/[]ISTabs_ \n") | st.characters(exclude_categories=["Cs"])))
def test_breaking_up_adds_zero_width_spaces_alone(text: str) -> None:
    assert broken_up(text).replace("\u200b", "") == text.replace("\u200b", "")
    assert "<|" not in broken_up(text)
