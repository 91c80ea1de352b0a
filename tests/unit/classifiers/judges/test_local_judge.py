"""The judge in this process: collects what is asked, and one bad document harms no other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from labelling_jobs import GRADES, judge_folder

from classifiers.judges.answers import Answer
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording
from classifiers.judges.judge_tokenizer import JudgeTokenizer
from classifiers.judges.local_judge import TOGETHER, LocalJudge
from classifiers.judges.prompts import PromptMakers
from classifiers.judges.transformers_server import TransformersServer
from pipeline.errors import Refusal

WORDING = Wording(GRADES, 128)


class FakeModel:
    """Labels by the length of a prompt."""

    max_length = 1_000

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.overflows_at = 0

    def logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        self.batches.append(len(prompts))
        if self.error is not None:
            raise self.error
        found = np.log(np.full((len(prompts), len(label_ids)), 0.3))
        for row, prompt in enumerate(prompts):
            if len(prompt) == self.overflows_at:
                found[row] = math.nan
        return found

    def generate(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        return [list(prompt[:max_tokens]) for prompt in prompts]


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> PromptMakers:
    return PromptMakers(JudgeTokenizer(judge_folder(tmp_path_factory.mktemp("judge"))), {})


def ask_all(
    judge: LocalJudge, requests: Sequence[LabelRequest]
) -> list[tuple[Answer, Usage] | BaseException]:
    async def whole() -> list[tuple[Answer, Usage] | BaseException]:
        asked = (judge.ask(request) for request in requests)
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)

    return asyncio.run(whole())


def requests(count: int, wording: Wording = WORDING) -> list[LabelRequest]:
    return [LabelRequest(b"k", "word " * number, wording) for number in range(count)]


def test_what_is_asked_at_once_is_asked_together(makers: PromptMakers) -> None:
    model = FakeModel()
    found = ask_all(LocalJudge(model, makers), requests(100))
    assert model.batches == [TOGETHER, 100 - TOGETHER]
    for result in found:
        assert isinstance(result, tuple)
        answer, usage = result
        assert answer.labels["clarity"].mass == pytest.approx(0.9)
        assert usage.completion == 1


def test_answers_are_those_of_the_model(tiny_model: Path) -> None:
    makers = PromptMakers(JudgeTokenizer(tiny_model), {"enable_thinking": False})
    model = TransformersServer(tiny_model, device="cpu")
    text = "Perhaps somewhat longer words everywhere. a b c"
    ((answer, usage),) = ask_all(LocalJudge(model, makers), [LabelRequest(b"k", text, WORDING)])  # type: ignore[misc]
    maker = makers.of(WORDING)
    (prompt,) = maker.questions(maker.encode([text])[0])
    expected = np.exp(model.logprobs([prompt], maker.answer_ids["clarity"])[0])
    assert answer.labels["clarity"].probabilities == pytest.approx(expected / expected.sum())
    assert usage == Usage(len(prompt), 0, 1)


def test_wordings_are_not_mixed(makers: PromptMakers) -> None:
    model = FakeModel()
    other = Wording(GRADES, 128, reverse=True)
    found = ask_all(LocalJudge(model, makers), [*requests(3), *requests(3, other)])
    assert model.batches == [3, 3]
    assert all(isinstance(result, tuple) for result in found)


def test_rationale_is_generated_and_counted(makers: PromptMakers) -> None:
    wording = Wording(GRADES, 128, rationale_tokens=20)
    ((answer, usage),) = ask_all(LocalJudge(FakeModel(), makers), requests(1, wording))  # type: ignore[misc]
    assert answer.rationale
    assert usage.completion == 20 + 1


@pytest.mark.parametrize("tokens", [0, 40])
def test_document_too_long_for_the_model_is_cut_and_harms_no_other(
    makers: PromptMakers, tokens: int
) -> None:
    model = FakeModel()
    judge = LocalJudge(model, makers)
    wording = Wording(GRADES, 128, rationale_tokens=tokens)
    short, long = LabelRequest(b"s", "short", wording), LabelRequest(b"l", "long " * 200, wording)
    ask_all(judge, [long])
    model.max_length = makers.of(wording).longest(long)
    good, bad = ask_all(judge, [short, long])
    assert isinstance(good, tuple)
    assert isinstance(bad, RequestError)
    assert bad.kind == "too_long"
    assert judge.shorten(long)
    assert isinstance(ask_all(judge, [long])[0], tuple)


def test_numbers_that_overflow_are_garbage_of_one_document(makers: PromptMakers) -> None:
    model = FakeModel()
    asked = requests(5)
    maker = makers.of(WORDING)
    model.overflows_at = maker.estimate(LabelRequest(b"", "", WORDING, ids=maker.encode(["word " * 3])[0])).prompt  # fmt: skip  # noqa: E501
    found = ask_all(LocalJudge(model, makers), asked)
    bad = [result for result in found if isinstance(result, RequestError)]
    assert [failure.kind for failure in bad] == ["garbage"]
    assert bad[0].usage.prompt > 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA out of memory"), "model-failed"),
        (IndexError("index out of range in self"), "model-failed"),
        (Refusal("odd", "said"), "odd"),
    ],
)
def test_failing_model_is_fatal_for_all_and_hangs_no_request(
    makers: PromptMakers, error: Exception, code: str
) -> None:
    model = FakeModel()
    model.error = error
    judge = LocalJudge(model, makers)
    for found in ask_all(judge, requests(3)) + ask_all(judge, requests(2)):
        assert isinstance(found, RequestError)
        assert (found.kind, found.code) == ("fatal", code)


def test_document_whose_task_was_cancelled_harms_no_other(makers: PromptMakers) -> None:
    async def whole() -> None:
        judge = LocalJudge(FakeModel(), makers)
        first, second = (asyncio.create_task(judge.ask(request)) for request in requests(2))
        await asyncio.sleep(0)
        first.cancel()
        assert isinstance(await asyncio.wait_for(second, 20), tuple)

    asyncio.run(whole())
