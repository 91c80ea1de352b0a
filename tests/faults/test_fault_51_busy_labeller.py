"""Fault 51: a labeller that answers 429, 5xx or nothing is asked again later, as it wishes, and
others are asked meanwhile; what has no answer in the end is no label and no error for ever."""

from __future__ import annotations

import email.utils
import time
from collections import Counter
from pathlib import Path

import pytest
from labelling_jobs import claims, is_about_a_text, job_for, labels, outcomes, run_here, words
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.judge import RequestError
from classifiers.labelling import request_loop, server_launcher
from classifiers.labelling.labelling_job import Job


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    *others, _ = request_loop.RetryPolicy.__init__.__defaults__ or ()
    monkeypatch.setattr(request_loop.RetryPolicy.__init__, "__defaults__", (*others, 0.01))


class Sometimes:
    """Every ``each``-th request about a document gets the reply, the first ``times`` tries."""

    def __init__(self, reply: Reply, each: int = 3, times: int = 1) -> None:
        self.reply, self.each, self.times = reply, each, times
        self.seen: Counter[str] = Counter()
        self.is_document = lambda asked: False

    def __call__(self, asked: Asked) -> Reply | None:
        if not self.is_document(asked):
            return None
        prompt = str(asked.prompts)
        number = list(self.seen).index(prompt) if prompt in self.seen else len(self.seen)
        self.seen[prompt] += 1
        is_hit = number % self.each == 0 and self.seen[prompt] <= self.times
        return self.reply if is_hit else None


def run(folder: Path, script: Sometimes, count: int = 30) -> Job:
    with ScriptedServer(script=script) as server:
        job = job_for(folder, server, words(count))
        script.is_document = is_about_a_text(job)
        run_here(job)
    return job


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(429), "http-429"),
        (Reply(503, b"<html>maintenance</html>"), "http-503"),
        (Reply(500, b'{"error": {"message": "oops"}}'), "http-500"),
        (Reply(502), "http-502"),
        (Reply(408), "http-408"),
        (Reply(409, b'{"error": "conflict"}'), "http-409"),
        (Reply(425), "http-425"),
        (Reply(cut=True), "unreachable"),
        (Reply(429, headers={"Retry-After": "0.2"}), "http-429"),
        (Reply(429, headers={"Retry-After": "soon"}), "http-429"),
        (Reply(503, headers={"Retry-After": "-1e9"}), "http-503"),
    ],
    ids=["429", "503", "500", "502", "408", "409", "425", "cut", "seconds", "nonsense", "negative"],
)
def test_busy_server_is_asked_again_and_every_label_paid_once(
    tmp_path: Path, reply: Reply, outcome: str
) -> None:
    job = run(tmp_path, Sometimes(reply, times=2))
    assert len(labels(job)) == 30
    assert outcomes(job) == {"labelled": 30, outcome: 20}
    assert not any(stored.answer.errors for stored in labels(job))
    assert claims(job) == 0


def test_time_out_frees_its_place_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_launcher, "REQUEST_S", 1.0)
    job = run(tmp_path, Sometimes(Reply(hang=3.0), each=10))
    assert outcomes(job) == {"labelled": 30, "timeout": 3}


def test_a_wish_to_wait_a_day_ends_the_job_and_keeps_what_is_bought(tmp_path: Path) -> None:
    script = Sometimes(Reply(429, headers={"Retry-After": "86400"}), each=1_000)
    with ScriptedServer(script=script) as server:
        job = job_for(tmp_path, server, words(30), most_at_once=1)
        script.is_document = is_about_a_text(job)
        with pytest.raises(RequestError, match="asks to wait 86,400 s") as caught:
            run_here(job)
        assert (caught.value.code, claims(job)) == ("wait-too-long", 0)
        bought = len(labels(job))
        run_here(job)
    assert bought < 30
    assert len(labels(job)) == outcomes(job)["labelled"] == 30


def test_wish_to_wait_is_honoured_for_all_documents(tmp_path: Path) -> None:
    """As a date; while it lasts, nothing is asked."""
    times: list[float] = []
    script = Sometimes(Reply(), times=0)
    until = 0.0

    def reply(asked: Asked) -> Reply | None:
        nonlocal until
        if script.is_document(asked):
            times.append(time.time())
            if len(times) == 10:
                until = time.time() + 3
                return Reply(429, headers={"Retry-After": email.utils.formatdate(until)})
        return None

    with ScriptedServer(script=reply, delay=0.02) as server:
        job = job_for(tmp_path, server, words(60), most_at_once=4)
        script.is_document = is_about_a_text(job)
        run_here(job)
    assert len(labels(job)) == 60
    pause = [t for t in times[14:] if t < int(until) - 0.2]
    assert not pause, "only what was under way already may have come in"


def test_a_server_with_little_room_is_not_asked_for_more(tmp_path: Path) -> None:
    with ScriptedServer(at_once=4, delay=0.02) as server:
        job = job_for(tmp_path, server, words(150))
        run_here(job)
    assert len(labels(job)) == 150
    assert server.refused < 150


def test_documents_that_never_get_an_answer_are_asked_about_by_a_later_run(tmp_path: Path) -> None:
    script = Sometimes(Reply(500), each=10, times=1_000)
    with ScriptedServer(script=script) as server:
        job = job_for(tmp_path, server, words(20), most_errors=0.2)
        script.is_document = is_about_a_text(job)
        status = run_here(job)
        assert (status.done, len(labels(job)), claims(job)) == (20, 18, 0)
        script.times = 0
        status = run_here(job)
        assert (status.from_store, len(labels(job))) == (18, 20)


def test_a_server_that_answers_nobody_ends_the_job_with_its_words(tmp_path: Path) -> None:
    script = Sometimes(Reply(500, b'{"error": {"message": "oops"}}'), each=1, times=1_000)
    with ScriptedServer(script=script) as server:
        job = job_for(tmp_path, server, words(100))
        script.is_document = is_about_a_text(job)
        with pytest.raises(RequestError, match=r"got no label .*http-500") as caught:
            run_here(job)
    assert (caught.value.code, labels(job), claims(job)) == ("too-many-errors", [], 0)
