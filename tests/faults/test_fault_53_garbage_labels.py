"""Fault 53: answers that make no sense, or that are hardly about the labels, are asked for once
more, then they are errors; above a share of errors the job ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labelling_jobs import is_about_a_text, job_for, labels, outcomes, run_here, words
from scripted_server import Asked, Reply, ScriptedServer
from tiny_model import make_tokenizer

from classifiers.judges.judge import RequestError
from classifiers.judges.rubric import Attribute, Rubric

Garble = Callable[[dict[str, Any]], Any]


def top_of(whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["choices"][0]["logprobs"]["top_logprobs"][0]
    return found


def replaced(whole: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**whole, **values}


def all_logprobs(value: Any) -> Garble:
    def garble(whole: dict[str, Any]) -> Any:
        top_of(whole).update(dict.fromkeys(top_of(whole), value))
        return whole

    return garble


def one_missing(whole: dict[str, Any]) -> Any:
    top_of(whole).popitem()
    return whole


GARBAGE: dict[str, tuple[Garble, str]] = {
    "not JSON": (lambda whole: b"<html>hello</html>", "not-json"),
    "cut JSON": (lambda whole: json.dumps(whole).encode()[:40], "not-json"),
    "a list": (lambda whole: [whole], "no-choices"),
    "no choices": (lambda whole: replaced(whole, choices=None), "no-choices"),
    "empty choices": (lambda whole: replaced(whole, choices=[]), "wrong-choices"),
    "too many choices": (
        lambda whole: replaced(whole, choices=whole["choices"] * 2), "wrong-choices"),
    "no index": (lambda whole: replaced(whole, choices=[{}]), "bad-choices"),
    "wrong index": (
        lambda whole: replaced(whole, choices=[{**whole["choices"][0], "index": 3}]),
        "wrong-choices"),
    "choices of text": (lambda whole: replaced(whole, choices=["0"]), "bad-choices"),
    "no logprobs": (
        lambda whole: replaced(whole, choices=[{"index": 0, "logprobs": None}]), "no-logprobs"),
    "NaN": (lambda whole: json.dumps(all_logprobs(float("nan"))(whole)).encode(), "not-json"),
    "positive": (all_logprobs(0.7), "bad-choices"),
    "more than all": (all_logprobs(0.0), "bad-choices"),
    "nothing": (all_logprobs(None), "bad-choices"),
    "text": (all_logprobs("-1.0"), "bad-choices"),
    "a label missing": (one_missing, "labels-missing"),
}  # fmt: skip


def garbled(server: ScriptedServer, asked: Asked, garble: Garble) -> Reply:
    found = garble(server.honest(asked))
    return Reply(body=found if isinstance(found, bytes) else json.dumps(found).encode())


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_asked_for_once_more_and_then_an_error(tmp_path: Path, name: str) -> None:
    garble, code = GARBAGE[name]
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(12))
        is_document = is_about_a_text(job)
        first: list[str] = []
        again: list[str] = []

        def script(asked: Asked) -> Reply | None:
            """Twice about the first document, once about the second."""
            prompt = str(asked.prompts)
            if not is_document(asked):
                return None
            if prompt not in first and len(first) < 2:
                first.append(prompt)
                return garbled(server, asked, garble)
            if prompt == first[0] and not again:
                again.append(prompt)
                return garbled(server, asked, garble)
            return None

        server.script = script
        run_here(job)
    assert outcomes(job) == {"labelled": 11, code: 3}
    errors = [stored.answer.errors for stored in labels(job) if stored.answer.errors]
    assert errors == [{"": code}]


def test_low_mass_is_asked_for_once_more_and_kept_as_it_is(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(12))
        is_document = is_about_a_text(job)
        low: list[str] = []

        def script(asked: Asked) -> Reply | None:
            prompt = str(asked.prompts)
            if is_document(asked) and (prompt in low or not low):
                low.append(prompt)
                return Reply(body=json.dumps(server.honest(asked, mass=0.2)).encode())
            return None

        server.script = script
        run_here(job)
    assert outcomes(job) == {"labelled": 11, "low-mass": 2}
    masses = sorted(stored.answer.labels["clarity"].mass for stored in labels(job))
    assert masses[0] == pytest.approx(0.2), "the reader of the store decides what is too low"
    assert masses[1] == pytest.approx(0.95)


def test_a_judge_that_wants_to_say_something_else_ends_the_job(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(
            body=json.dumps(server.honest(asked, mass=0.1)).encode()
        )
        job = job_for(tmp_path, server, words(400))
        with pytest.raises(RequestError, match=r"got no label \(low-mass: \d+\)") as caught:
            run_here(job)
    assert caught.value.code == "too-many-errors"
    assert "min_mass" in caught.value.hint
    assert len(server.requests) < 400


def digits_of(job_folder: Path) -> list[int]:
    tokenizer = make_tokenizer(["0123456789"])
    return [int(number) for number in tokenizer.convert_tokens_to_ids(list("012"))]


def test_server_that_names_its_likeliest_tokens_alone_is_good_enough_for_few_labels(
    tmp_path: Path,
) -> None:
    with ScriptedServer(natural=digits_of(tmp_path)) as server:
        job = job_for(tmp_path, server, words(30))
        run_here(job)
    assert len(labels(job)) == 30
    assert outcomes(job) == {"labelled": 30}
    last = server.requests[-1].json
    assert (last["logprobs"], "logprob_token_ids" in last) == (20, False)


def test_server_that_names_its_likeliest_tokens_alone_is_refused_for_many_labels(
    tmp_path: Path,
) -> None:
    choices = {f"kind_{n}": "something" for n in range(21)}
    rubric = Rubric(
        name="kinds",
        version=1,
        instruction="Sort.",
        attributes={"kind": Attribute(question="Which?", choices=choices)},
    )
    with ScriptedServer(natural=digits_of(tmp_path)) as server:
        job = job_for(tmp_path, server, words(3), rubric=rubric)
        with pytest.raises(RequestError, match="kind has 21 labels") as caught:
            run_here(job)
    assert caught.value.code == "labels-not-reported"
    assert "vLLM 0.26" in caught.value.hint
    assert labels(job) == []
