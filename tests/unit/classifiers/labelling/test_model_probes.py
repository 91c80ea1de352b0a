"""Looks at a judge's answers to fixed documents: the same model, or another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fake_judges import ONE, FakeJudge

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_config import Prices
from classifiers.judges.judge_identity import Wording
from classifiers.labelling import model_probes
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import LabelStore, Stored
from classifiers.labelling.model_probes import (
    EVERY,
    TOLERANCE,
    TRIES,
    WORDING,
    ModelMonitor,
    ModelProbes,
)


class Judge(FakeJudge):
    """Gives the first label a share of the probability, after its ``failures``."""

    def __init__(self, share: float = 0.7, failures: Sequence[RequestError] = ()) -> None:
        self.share, self.failures, self.asked = share, list(failures), 0

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        rest = (1 - self.share) / 3
        return Answer({"explains": Label((self.share, rest, rest, rest), 0.9)}, {}), ONE

    async def check_labels(self, wording: Wording) -> Usage:
        return ONE


class Scene:
    def __init__(self, folder: Path, *judges: Judge) -> None:
        self.store = LabelStore(folder / "labels.sqlite")
        self.store.add_judge("j", "model", "", "tok")
        self.budget = BudgetTracker(Budget(), Prices())
        self.watch = ModelMonitor(
            self.store, "job", ModelProbes(self.store, "j"), list(judges), self.budget
        )

    async def label(self, count: int, start: int = 0) -> None:
        for number in range(start, start + count):
            key = number.to_bytes(4, "big")
            self.store.write([Stored(key, "j", "r", key, 0, Answer({}, {}), 1, 1)], [])
            await self.watch.finished(LabelRequest(key, str(number), WORDING))

    def labels(self) -> int:
        return len(list(self.store.labels()))


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(model_probes.asyncio, "sleep", lambda seconds: sleep(0))


def test_first_answers_are_kept_and_later_ones_compared(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge())
    asyncio.run(scene.watch.start(WORDING))
    assert len(scene.store.probe("j", model_probes.ASKED) or ()) == 16
    near, far = Judge(0.7 + 0.9 * TOLERANCE), Judge(0.7 + 1.1 * TOLERANCE)
    asyncio.run(Scene(tmp_path, near).watch.check())
    with pytest.raises(RequestError, match="is not the model it was") as caught:
        asyncio.run(Scene(tmp_path, far).watch.check())
    assert (caught.value.kind, caught.value.code) == ("fatal", "model-changed")


def test_several_judges_must_be_the_same_model(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is not the model it was"):
        asyncio.run(Scene(tmp_path, Judge(), Judge(0.2)).watch.start(WORDING))


def test_other_probes_are_no_sign_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(Scene(tmp_path, Judge()).watch.start(WORDING))
    monkeypatch.setattr(model_probes, "ASKED", "other words")
    asyncio.run(Scene(tmp_path, Judge(0.2)).watch.start(WORDING))


def test_looks_are_in_the_ledger_and_on_the_meter(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge())
    asyncio.run(scene.watch.start(WORDING))
    ledger = scene.store.attempts("job")
    assert {attempt.purpose for attempt in ledger} == {"probe"}
    assert sum(attempt.prompt_tokens for attempt in ledger) == scene.budget.used.prompt == 60


def test_a_look_every_so_often_confirms_what_came_before_it(tmp_path: Path) -> None:
    judge = Judge()
    scene = Scene(tmp_path, judge)

    async def go() -> None:
        await scene.watch.start(WORDING)
        await scene.label(EVERY + 20)
        assert judge.asked == 8
        judge.share = 0.2
        with pytest.raises(RequestError, match="is not the model it was"):
            await scene.watch.check(TRIES)
        scene.watch.withdraw()

    asyncio.run(go())
    assert scene.labels() == EVERY, "those since the last good look are taken back"


def test_what_finishes_during_a_look_is_not_confirmed_by_it(tmp_path: Path) -> None:
    judge = Judge()
    scene = Scene(tmp_path, judge)

    async def go() -> None:
        await scene.watch.start(WORDING)
        await scene.label(10)
        check = asyncio.create_task(scene.watch.check())
        await asyncio.sleep(0)
        await scene.label(5, start=10)
        await check
        scene.watch.withdraw()

    asyncio.run(go())
    assert scene.labels() == 10


@pytest.mark.parametrize("end", [lambda task: task.cancel(), lambda task: None])
def test_a_look_that_is_broken_off_confirms_nothing(
    tmp_path: Path, end: Callable[[asyncio.Task[None]], object]
) -> None:
    judge = Judge()
    scene = Scene(tmp_path, judge)

    async def go() -> None:
        await scene.watch.start(WORDING)
        await scene.label(10)
        judge.failures = [RequestError("again", "http-500")]
        check = asyncio.create_task(scene.watch.check())
        await asyncio.sleep(0)
        end(check)
        await asyncio.gather(check, return_exceptions=True)
        scene.watch.withdraw()

    asyncio.run(go())
    assert scene.labels() == 0


def test_a_judge_too_busy_for_a_look_is_not_pressed(tmp_path: Path) -> None:
    judge = Judge()
    scene = Scene(tmp_path, judge)

    async def go() -> None:
        await scene.watch.start(WORDING)
        judge.failures = [RequestError("busy", "http-429")] * 3
        await scene.label(EVERY + 50)

    asyncio.run(go())
    assert judge.asked == 4 + 1, "the next look is as many documents later"


def test_first_and_last_look_are_tried_again(tmp_path: Path) -> None:
    judge = Judge(failures=[RequestError("again", "timeout"), RequestError("busy", "x", after=0.0)])
    asyncio.run(Scene(tmp_path, judge).watch.start(WORDING))


def test_a_judge_that_never_answers_is_an_error(tmp_path: Path) -> None:
    judge = Judge(failures=[RequestError("again", "http-500", "oops")] * TRIES)
    with pytest.raises(RequestError, match="judge gave no answer: http-500 oops") as caught:
        asyncio.run(Scene(tmp_path, judge).watch.start(WORDING))
    assert (caught.value.kind, caught.value.code) == ("fatal", "no-answer")


def test_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    judge = Judge(failures=[RequestError("refused", "http-400", "no")])
    with pytest.raises(RequestError, match="http-400 no"):
        asyncio.run(Scene(tmp_path, judge).watch.start(WORDING))
    assert judge.asked == 1


def test_last_look_is_set_aside_from_the_budget(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge())
    scene.budget = BudgetTracker(Budget(tokens=200), Prices())
    judges = [Judge()]
    watch = ModelMonitor(
        scene.store, "job", ModelProbes(scene.store, "j"), list(judges), scene.budget
    )
    asyncio.run(watch.start(WORDING))
    left = 200 - scene.budget.tokens
    assert scene.budget.reserve(Usage(left - 44))
    assert not scene.budget.reserve(Usage(1))
