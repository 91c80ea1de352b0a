"""Judges asked in token ids over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from labelling_jobs import GRADES, judge_folder
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.completions_judge import CompletionsJudge
from classifiers.judges.http_client import TOP, Connection
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.judge_tokenizer import JudgeTokenizer
from classifiers.judges.prompts import PromptMakers
from classifiers.judges.rubric import Attribute, Rubric

T = TypeVar("T")
TWO = GRADES.model_copy(
    update={
        "attributes": {
            **GRADES.attributes,
            "kind": Attribute(question="Which?", choices={"prose": "text", "verse": "rhymes"}),
        }
    }
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> JudgeTokenizer:
    return JudgeTokenizer(judge_folder(tmp_path_factory.mktemp("judge")))


def talk(
    server: ScriptedServer,
    tokenizer: JudgeTokenizer,
    ask: Callable[[CompletionsJudge], Awaitable[T]],
    key: str = "",
    timeout_s: float = 20.0,
) -> T:
    async def whole() -> T:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            connection = Connection(session, server.url + "/", key)
            return await ask(CompletionsJudge(connection, "judge", PromptMakers(tokenizer, {})))

    return asyncio.run(whole())


def work_on(text: str, rubric: Rubric = GRADES, tokens: int = 0) -> LabelRequest:
    return LabelRequest(b"key", text, Wording(rubric, 128, "head", tokens))


def test_labels_are_what_the_server_says_of_each_attribute(tokenizer: JudgeTokenizer) -> None:
    request = work_on("some text", TWO)
    with ScriptedServer() as server:
        answer, usage = talk(server, tokenizer, lambda judge: judge.ask(request))
    (asked,) = server.requests
    assert asked.path == "/v1/completions"
    assert (asked.json["max_tokens"], asked.json["temperature"]) == (1, 0)
    assert len(asked.prompts) == 2
    maker = PromptMakers(tokenizer, {}).of(request.wording)
    assert asked.prompts == maker.questions(maker.encode(["some text"])[0])
    whole = server.honest(asked)
    for index, (name, ids) in enumerate(maker.answer_ids.items()):
        top = whole["choices"][index]["logprobs"]["top_logprobs"][0]
        shares = [math.exp(top[f"token_id:{number}"]) for number in ids]
        label = answer.labels[name]
        assert label.mass == pytest.approx(sum(shares))
        assert label.probabilities == pytest.approx([share / sum(shares) for share in shares])
    assert usage == Usage(sum(map(len, asked.prompts)), 0, 2)


def test_choices_in_another_order_are_put_right(tokenizer: JudgeTokenizer) -> None:
    with ScriptedServer() as server:
        expected, _ = talk(server, tokenizer, lambda judge: judge.ask(work_on("x", TWO)))

        def turned(asked: Asked) -> Reply:
            whole = server.honest(asked)
            return Reply(body=json.dumps({**whole, "choices": whole["choices"][::-1]}).encode())

        server.script = turned
        assert talk(server, tokenizer, lambda judge: judge.ask(work_on("x", TWO)))[0] == expected


def test_rationale_is_paid_once_even_if_the_verdict_needs_another_try(
    tokenizer: JudgeTokenizer,
) -> None:
    request = work_on("some text", TWO, tokens=24)

    async def twice(judge: CompletionsJudge) -> tuple[Any, Usage, Usage]:
        with pytest.raises(RequestError, match="http-500") as caught:
            await judge.ask(request)
        answer, usage = await judge.ask(request)
        return answer, caught.value.usage, usage

    with ScriptedServer() as server:
        server.script = lambda asked: Reply(500) if asked.number == 1 else None
        answer, first, second = talk(server, tokenizer, twice)
    sizes = [sum(map(len, asked.prompts)) for asked in server.requests]
    assert [asked.json["max_tokens"] for asked in server.requests] == [24, 1, 1]
    assert (first.prompt, second.prompt) == (sizes[0], sizes[2])
    assert answer.rationale
    assert request.rationale_ids is not None


def test_rationale_of_a_server_that_gives_text_alone(tokenizer: JudgeTokenizer) -> None:
    request = work_on("some text", tokens=24)

    def text_alone(asked: Asked) -> Reply | None:
        if asked.json["max_tokens"] == 1:
            return None
        whole = server.honest(asked)
        whole["choices"] = [{"index": 0, "text": "It is clear.<|im_end|>"}]
        return Reply(body=json.dumps(whole).encode())

    with ScriptedServer(script=text_alone) as server:
        answer, _ = talk(server, tokenizer, lambda judge: judge.ask(request))
    assert answer.rationale.startswith("It is clear.")
    assert tokenizer.controls.keys().isdisjoint(request.rationale_ids or [])


@pytest.mark.parametrize("choices", [[], ["text"], [{}], [{"token_ids": ["1"], "text": None}]])
def test_rationale_that_is_none_is_garbage(tokenizer: JudgeTokenizer, choices: list[Any]) -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(
            body=json.dumps({**server.honest(asked), "choices": choices}).encode()
        )
        with pytest.raises(RequestError) as caught:
            talk(server, tokenizer, lambda judge: judge.ask(work_on("x", tokens=24)))
    assert (caught.value.kind, caught.value.usage.prompt > 0) == ("garbage", True)


def test_both_checks_leave_an_older_server_recognised(tokenizer: JudgeTokenizer) -> None:
    """The labels of the second check may all be among its likeliest tokens."""
    ids = [tokenizer.frame(digit)[0] for digit in "012"]

    async def check(judge: CompletionsJudge) -> bool:
        for _ in range(2):
            await judge.check_labels(Wording(GRADES, 64))
        assert (await judge.ask(work_on("x")))[0].labels["clarity"].mass > 0.9
        return judge.only_top

    with ScriptedServer(natural=ids) as server:
        assert talk(server, tokenizer, check)
    assert [asked.json["logprobs"] for asked in server.requests] == [1, TOP, TOP]
    with ScriptedServer() as server:
        assert not talk(server, tokenizer, check)


@pytest.mark.parametrize("choices", [[], ["x"], [{"logprobs": None}]])
def test_check_of_a_server_that_tells_nothing_is_garbage_with_its_cost(
    tokenizer: JudgeTokenizer, choices: list[Any]
) -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(
            body=json.dumps({**server.honest(asked), "choices": choices}).encode()
        )
        with pytest.raises(RequestError) as caught:
            talk(server, tokenizer, lambda judge: judge.check_labels(Wording(GRADES, 64)))
    assert (caught.value.kind, caught.value.usage.prompt > 0) == ("garbage", True)


def test_connections_that_break_or_hang_are_tried_again(tokenizer: JudgeTokenizer) -> None:
    with ScriptedServer(script=lambda asked: Reply(cut=True)) as server:
        with pytest.raises(RequestError) as caught:
            talk(server, tokenizer, lambda judge: judge.ask(work_on("x")))
        assert (caught.value.kind, caught.value.code) == ("again", "unreachable")
        server.script = lambda asked: Reply(hang=3.0)
        with pytest.raises(RequestError) as caught:
            talk(server, tokenizer, lambda judge: judge.ask(work_on("x")), timeout_s=0.3)
        assert (caught.value.kind, caught.value.code) == ("again", "timeout")


def test_short_keys_are_no_secrets_in_honest_answers(tokenizer: JudgeTokenizer) -> None:
    with ScriptedServer() as server:
        plain, _ = talk(server, tokenizer, lambda judge: judge.ask(work_on("x")))
        keyed, _ = talk(server, tokenizer, lambda judge: judge.ask(work_on("x")), key="1")
    assert plain == keyed
    assert server.requests[1].headers["Authorization"] == "Bearer 1"


def test_path_of_the_server_may_end_with_a_slash(tokenizer: JudgeTokenizer, tmp_path: Path) -> None:
    with ScriptedServer() as server:
        body = talk(server, tokenizer, lambda judge: judge.connection.get("/v1/models"))
    assert json.loads(body)["data"][0]["id"] == "judge"
