"""Fault 52: a document too long for the labeller is cut once, by rule, and is an error after that;
other refusals are errors of this run alone: a later one asks again, as the server may be mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labelling_jobs import is_about_a_text, job_for, labels, outcomes, run_here, words
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.judge import RequestError

TOO_LONG = json.dumps(
    {"error": {"message": "This model's maximum context length is 2048 tokens. However, …"}}
).encode()
LLAMA_CPP = json.dumps({"error": {"type": "exceed_context_size_error", "code": 400}}).encode()


def with_one_long(count: int = 10) -> list[str]:
    return [*words(count), "Text number " + "very long " * 300]


def longest(asked: Asked) -> int:
    return max(map(len, asked.prompts))


@pytest.mark.parametrize("words_of_server", [TOO_LONG, LLAMA_CPP], ids=["message", "type"])
def test_document_that_is_too_long_is_cut_to_half_and_labelled(
    tmp_path: Path, words_of_server: bytes
) -> None:
    with ScriptedServer() as server:
        server.script = lambda asked: Reply(400, words_of_server) if longest(asked) > 450 else None
        job = job_for(tmp_path, server, with_one_long())
        run_here(job)
    assert outcomes(job) == {"labelled": 11, "context-too-long": 1}
    lengths = sorted(longest(asked) for asked in server.requests)
    assert lengths[-1] > 450 >= lengths[-2]
    assert not any(stored.answer.errors for stored in labels(job))


def test_document_that_stays_too_long_is_an_error_and_others_go_on(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, with_one_long())
        limit = longest_of_short_ones(tmp_path / "short", server)
        server.script = lambda asked: Reply(400, TOO_LONG) if longest(asked) > limit else None
        run_here(job)
    assert outcomes(job) == {"labelled": 10, "context-too-long": 2}
    errors = [stored.answer.errors for stored in labels(job) if stored.answer.errors]
    assert errors == [{"": "context-too-long"}]


def longest_of_short_ones(folder: Path, server: ScriptedServer) -> int:
    """Tokens of the longest request about short documents, or of the worker's own."""
    folder.mkdir()
    run_here(job_for(folder, server, words(3)))
    return max(map(longest, server.requests))


def test_other_refusals_are_in_no_store_and_asked_again_by_a_later_run(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(40))
        is_document = is_about_a_text(job)
        refused: list[str] = []

        def script(asked: Asked) -> Reply | None:
            prompt = str(asked.prompts)
            if is_document(asked) and (prompt in refused or len(refused) < 2):
                refused.append(prompt)
                return Reply(400, b'{"error": {"message": "the prompt displeases"}}')
            return None

        server.script = script
        status = run_here(job)
        assert status.done == 40
        assert outcomes(job) == {"labelled": 38, "http-400": 2}
        assert len(refused) == 2, "asked once each in one run"
        assert len(labels(job)) == 38
        server.script = lambda asked: None  # the server is mended
        status = run_here(job)
        assert (status.from_store, len(labels(job))) == (38, 40)
    assert not any(stored.answer.errors for stored in labels(job))


@pytest.mark.parametrize(("status", "code"), [(401, "not-authorised"), (404, "no-such-model")])
def test_refusals_of_everything_end_the_job_at_once_with_a_hint(
    tmp_path: Path, status: int, code: str
) -> None:
    with ScriptedServer(script=lambda asked: Reply(status)) as server:
        job = job_for(tmp_path, server, words(200))
        with pytest.raises(RequestError) as caught:
            run_here(job)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)
    assert (len(server.requests), labels(job)) == (1, [])
