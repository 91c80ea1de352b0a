"""Asking, with judges that do as a test says: what is tried again, given up, and written down."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_judges import ONE, FakeJudge

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_config import Prices
from classifiers.judges.judge_identity import Wording
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import LabelStore, Stored
from classifiers.labelling.request_loop import RequestLoop, RetryPolicy, too_many_errors
from classifiers.labelling.slot_pool import SlotPool
from pipeline.errors import Refusal

RUBRIC = Rubric(
    name="r",
    version=1,
    instruction="Judge.",
    attributes={"a": Attribute(question="What?", scale={"0": "no", "1": "yes"})},
)
WORDING = Wording(RUBRIC, 64)
GOOD = Answer({"a": Label((0.5, 0.5), 0.9)}, {})
LOW = Answer({"a": Label((0.5, 0.5), 0.1)}, {})
Behaviour = Callable[["Judge", LabelRequest, int], Answer | Exception]


class Judge(FakeJudge):
    """Answers by ``behaviour(judge, request, how often that text was asked about before)``."""

    def __init__(self, behaviour: Behaviour = lambda judge, request, times: GOOD) -> None:
        self.behaviour = behaviour
        self.asked: Counter[str] = Counter()
        self.up = True
        self.restarts = 0
        self.under_way: set[str] = set()
        self.delay = 0.002
        self.deadly: set[str] = set()  # texts that kill it

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        times = self.asked[request.text]
        self.asked[request.text] += 1
        self.under_way.add(request.text)
        try:
            await asyncio.sleep(self.delay)
            if request.text in self.deadly:
                self.up = False
            if not self.up:
                raise RequestError("again", "unreachable")
            found = self.behaviour(self, request, times)
        finally:
            self.under_way.discard(request.text)
        if isinstance(found, Exception):
            raise found
        return found, ONE

    def shorten(self, request: LabelRequest) -> bool:
        before, request.shortened = request.shortened, True
        return not before

    async def is_alive(self, failure: RequestError) -> bool:
        return self.up

    async def restart(self) -> None:
        await asyncio.sleep(0.01)
        self.restarts += 1
        self.up = True


class Scene:
    """A store, a pool of one judge, and asking about texts "0", "1" …"""

    def __init__(self, folder: Path, judge: Judge, **changes: Any) -> None:
        self.store = LabelStore(folder / "labels.sqlite")
        self.judge = judge
        self.changes = changes
        self.budget = BudgetTracker(changes.pop("budget", Budget()), Prices())
        self.after: Callable[[LabelRequest], None] = lambda request: None
        self.loop: RequestLoop | None = None
        self.texts: list[str] = []

    def run(self, count: int) -> RequestLoop:
        async def go() -> RequestLoop:
            policy = RetryPolicy(first_wait_s=0.001, **{"errors": 1.0, **self.changes})
            pool = SlotPool([self.judge], 64)
            self.loop = loop = RequestLoop(
                self.store,
                "job",
                pool,
                self.budget,
                policy,
                least_mass=0.5,
                store_label=lambda request, answer: Stored(
                    request.key,
                    "j",
                    "r",
                    request.key,
                    0,
                    answer,
                    request.paid.prompt,
                    request.paid.completion,
                ),
                after_each=self._after,
            )
            try:
                await loop.run(self.requests(count))
            finally:
                await pool.close()
            return loop

        return asyncio.run(asyncio.wait_for(go(), 60))

    async def _after(self, request: LabelRequest) -> None:
        self.after(request)

    async def requests(self, count: int) -> AsyncGenerator[LabelRequest, None]:
        for number in range(count):
            text = str(number)
            self.store.claim([text.encode()])
            yield LabelRequest(text.encode(), text, WORDING)

    def answers(self) -> dict[str, Answer]:
        return {stored.key.decode(): stored.answer for stored in self.store.labels()}

    def outcomes(self) -> Counter[str]:
        return Counter(attempt.outcome for attempt in self.store.attempts("job"))

    def claims(self) -> int:
        (count,) = self.store._db.execute("select count(*) from claimed").fetchone()
        return int(count)


def first_time(*failures: Exception) -> Behaviour:
    """These troubles with every document, then a good answer."""

    def behave(judge: Judge, request: LabelRequest, times: int) -> Answer | Exception:
        return failures[times] if times < len(failures) else GOOD

    return behave


def test_every_document_gets_its_label_and_its_place_in_the_ledger(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge())
    loop = scene.run(300)
    assert (loop.done, len(scene.answers()), scene.claims()) == (300, 300, 0)
    assert scene.outcomes() == {"labelled": 300}
    assert scene.budget.used == Usage(3_000, 0, 300)


@pytest.mark.parametrize(
    ("failures", "outcomes"),
    [
        ([RequestError("again", "http-500")] * 3, {"http-500": 3}),
        ([RequestError("busy", "http-429", after=0.001)] * 2, {"http-429": 2}),
        ([RequestError("again", "timeout"), RequestError("garbage", "not-json")],
         {"timeout": 1, "not-json": 1}),
        ([RequestError("too_long", "context-too-long")], {"context-too-long": 1}),
    ],
    ids=["500", "429", "timeout-and-garbage", "too-long"],
)  # fmt: skip
def test_what_may_help_is_tried_again(
    tmp_path: Path, failures: Sequence[Exception], outcomes: dict[str, int]
) -> None:
    scene = Scene(tmp_path, Judge(first_time(*failures)))
    scene.run(5)
    assert all(answer == GOOD for answer in scene.answers().values())
    assert scene.outcomes() == {
        "labelled": 5,
        **{code: 5 * count for code, count in outcomes.items()},
    }


@pytest.mark.parametrize(
    ("failure", "requests"),
    [
        (RequestError("garbage", "bad-choices", usage=Usage(7)), 2),
        (RequestError("too_long", "context-too-long"), 2),
    ],
    ids=["garbage", "too-long"],
)
def test_what_will_not_help_is_an_entry_without_a_label(
    tmp_path: Path, failure: RequestError, requests: int
) -> None:
    judge = Judge(lambda judge, request, times: failure if request.text == "3" else GOOD)
    scene = Scene(tmp_path, judge)
    loop = scene.run(10)
    assert scene.answers()["3"] == Answer.refused(failure.code)
    assert judge.asked["3"] == requests
    assert loop.errors == {failure.code: 1}
    assert scene.budget.used.prompt == 90 + requests * failure.usage.prompt


def test_a_refusal_is_an_error_of_this_run_and_no_entry(tmp_path: Path) -> None:
    refused = RequestError("refused", "http-400", usage=Usage(2))
    judge = Judge(lambda judge, request, times: refused if request.text == "3" else GOOD)
    scene = Scene(tmp_path, judge)
    loop = scene.run(10)
    assert "3" not in scene.answers()
    assert (judge.asked["3"], scene.claims()) == (1, 0)
    assert loop.errors == {"http-400": 1}
    assert scene.budget.used.prompt == 92


def test_low_mass_is_asked_once_more_and_stays_as_it_is(tmp_path: Path) -> None:
    judge = Judge(lambda judge, request, times: LOW if request.text in "12" and times < 2 else GOOD)
    scene = Scene(tmp_path, judge)
    loop = scene.run(3)
    assert scene.answers() == {"0": GOOD, "1": LOW, "2": LOW}
    assert loop.errors == {"low-mass": 2}
    assert judge.asked == {"0": 1, "1": 2, "2": 2}


def test_low_mass_that_was_a_mishap_is_no_error(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge(lambda judge, request, times: GOOD if times else LOW))
    loop = scene.run(3)
    assert list(scene.answers().values()) == [GOOD] * 3
    assert not loop.errors


def test_a_server_that_stays_busy_leaves_no_entry_so_that_a_later_run_asks(tmp_path: Path) -> None:
    judge = Judge(
        lambda judge, request, times: (
            RequestError("busy", "http-429") if request.text == "0" else GOOD
        )
    )
    scene = Scene(tmp_path, judge, tries=3)
    loop = scene.run(4)
    assert "0" not in scene.answers()
    assert (judge.asked["0"], scene.claims()) == (3, 0)
    assert loop.errors == {"http-429": 1}


def test_a_share_of_errors_ends_it_early(tmp_path: Path) -> None:
    judge = Judge(lambda judge, request, times: RequestError("garbage", "not-json"))
    scene = Scene(tmp_path, judge, errors=0.1)
    with pytest.raises(RequestError, match="got no label") as caught:
        scene.run(1_000)
    assert (caught.value.kind, caught.value.code) == ("fatal", "too-many-errors")
    assert sum(judge.asked.values()) < 300
    assert scene.claims() == 0
    tries = Counter(attempt.key for attempt in scene.store.attempts("job"))
    assert len(scene.answers()) == sum(n == 2 for n in tries.values()), "what was answered is there"


def test_share_of_errors_in_a_small_pass_counts_at_its_end(tmp_path: Path) -> None:
    bad = {"1", "2", "3"}
    judge = Judge(
        lambda judge, request, times: RequestError("refused", "x") if request.text in bad else GOOD
    )
    with pytest.raises(RequestError, match="3 of 10 documents"):
        Scene(tmp_path, judge, errors=0.1).run(10)
    bad.pop()
    assert Scene(tmp_path / "two", judge, errors=0.1).run(10).errors == {"x": 2}


def test_hint_names_what_low_mass_means() -> None:
    code, message, hint = too_many_errors(3, 4, {"low-mass": 2, "http-400": 1})
    assert (code, message) == (
        "too-many-errors",
        "3 of 4 documents got no label (http-400: 1, low-mass: 2)",
    )
    assert "min_mass" in hint
    assert "max_errors" in too_many_errors(3, 4, {"http-400": 3})[2]


def test_a_fatal_error_ends_everything_and_keeps_what_was_answered(tmp_path: Path) -> None:
    def behave(judge: Judge, request: LabelRequest, times: int) -> Answer | Exception:
        return RequestError("fatal", "not-authorised", hint="key") if request.text == "40" else GOOD

    scene = Scene(tmp_path, Judge(behave))
    with pytest.raises(RequestError, match="not-authorised"):
        scene.run(1_000)
    assert 0 < len(scene.answers()) < 300
    assert scene.outcomes()["labelled"] == len(scene.answers())
    assert scene.claims() == 0


@pytest.mark.parametrize("error", [RuntimeError("bug"), Refusal("code", "said"), KeyError("x")])
def test_an_unforeseen_error_is_not_lost(tmp_path: Path, error: Exception) -> None:
    scene = Scene(tmp_path, Judge(lambda j, request, times: error if request.text == "7" else GOOD))
    with pytest.raises(type(error)) as caught:
        scene.run(500)
    assert caught.value is error
    assert scene.claims() == 0
    assert scene.outcomes()["labelled"] == len(scene.answers())


def test_an_error_of_what_comes_after_each_document_ends_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge())

    def fail(request: LabelRequest) -> None:
        raise RequestError("fatal", "model-changed")

    scene.after = fail
    with pytest.raises(RequestError, match="model-changed"):
        scene.run(200)


def test_documents_that_cannot_be_read_end_it_after_what_is_under_way(tmp_path: Path) -> None:
    class Broken(Scene):
        async def requests(self, count: int) -> AsyncGenerator[LabelRequest, None]:
            async for request in super().requests(count):
                yield request
            raise OSError("the file ends here")

    judge = Judge()
    judge.delay = 0.2
    scene = Broken(tmp_path, judge)
    with pytest.raises(OSError, match="ends here"):
        scene.run(5)
    assert len(scene.answers()) == 5


def test_a_store_that_cannot_be_written_ends_it_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, Judge())
    write, times = scene.store.write, []

    def full(*given: Any) -> None:
        times.append(len(times))
        if len(times) > 3:
            raise Refusal("label-store", "database or disk is full")
        write(*given)

    monkeypatch.setattr(scene.store, "write", full)
    with pytest.raises(Refusal, match="disk is full"):
        scene.run(2_000)
    assert sum(scene.judge.asked.values()) < 500


def test_a_store_that_is_full_for_a_moment_loses_no_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, Judge())
    write, times = scene.store.write, []

    def full_once(*given: Any) -> None:
        times.append(len(times))
        if len(times) == 2:
            raise Refusal("label-store", "database or disk is full")
        write(*given)

    monkeypatch.setattr(scene.store, "write", full_once)
    with pytest.raises(Refusal):
        scene.run(200)
    assert len(scene.answers()) == sum(scene.judge.asked.values())


# --- dead servers ---


def test_a_server_that_dies_is_revived_and_everything_is_labelled(tmp_path: Path) -> None:
    judge = Judge()
    answers = itertools.count()

    def die_twice(judge: Judge, request: LabelRequest, times: int) -> Answer | Exception:
        if next(answers) in (50, 150):
            judge.up = False
            return RequestError("dead", "http-500")
        return GOOD

    judge.behaviour = die_twice
    scene = Scene(tmp_path, judge)
    scene.run(300)
    assert len(scene.answers()) == 300
    assert judge.restarts == 2
    assert scene.claims() == 0


def test_a_document_that_kills_servers_is_given_up_and_no_other(tmp_path: Path) -> None:
    judge = Judge()
    judge.deadly = {"30"}
    scene = Scene(tmp_path, judge)
    loop = scene.run(200)
    assert set(map(str, range(200))) - scene.answers().keys() == {"30"}
    assert loop.errors == {"server-died": 1}
    assert judge.asked["30"] == 5
    assert judge.restarts >= 4
    assert scene.claims() == 0


def test_two_documents_that_kill_servers_take_no_other_with_them(tmp_path: Path) -> None:
    judge = Judge()
    judge.deadly = {"10", "11"}
    scene = Scene(tmp_path, judge)
    scene.run(100)
    assert set(map(str, range(100))) - scene.answers().keys() == {"10", "11"}


# --- the end ---


def test_stopping_asks_nothing_new_and_keeps_what_is_under_way(tmp_path: Path) -> None:
    judge = Judge()
    judge.delay = 0.05
    scene = Scene(tmp_path, judge)

    def stop(request: LabelRequest) -> None:
        assert scene.loop is not None
        scene.loop.stop("stopped")

    scene.after = stop
    loop = scene.run(1_000)
    assert loop.stopped == "stopped"
    assert len(scene.answers()) == sum(judge.asked.values()) <= 64
    assert scene.claims() == 0


def test_stopping_wakes_those_who_wait_for_a_next_try(tmp_path: Path) -> None:
    def behave(judge: Judge, request: LabelRequest, times: int) -> Answer | Exception:
        return RequestError("busy", "http-429", after=300.0) if request.text != "0" else GOOD

    judge = Judge(behave)
    scene = Scene(tmp_path, judge)

    def stop(request: LabelRequest) -> None:
        assert scene.loop is not None
        asyncio.get_running_loop().call_later(0.1, scene.loop.stop, "stopped")

    scene.after = stop
    assert scene.run(5).stopped == "stopped"  # within the minute that a scene has
    assert scene.claims() == 0


def test_what_is_never_answered_is_waited_for_only_so_long_after_the_end(tmp_path: Path) -> None:
    def behave(judge: Judge, request: LabelRequest, times: int) -> Answer | Exception:
        judge.delay = 1_000.0
        return RequestError("fatal", "not-authorised") if request.text == "20" else GOOD

    scene = Scene(tmp_path, Judge(behave), drain_s=0.2)
    with pytest.raises(RequestError, match="not-authorised"):
        scene.run(300)
    assert scene.outcomes()["lost"] > 0, "their outcome is not known"
    assert scene.claims() == 0


def test_budget_is_used_up_to_the_last_request_that_fits(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Judge(), budget=Budget(tokens=1_000))
    loop = scene.run(500)
    assert loop.stopped == "budget-spent"
    assert scene.budget.tokens == 990
    assert scene.claims() == 0


def test_requests_that_turn_out_smaller_leave_room_for_more(tmp_path: Path) -> None:
    class Careful(Judge):
        def estimate(self, request: LabelRequest) -> Usage:
            return Usage(200, 0, 10)

    scene = Scene(tmp_path, Careful(), budget=Budget(tokens=1_000))
    scene.run(500)
    assert 780 <= scene.budget.tokens <= 1_000
