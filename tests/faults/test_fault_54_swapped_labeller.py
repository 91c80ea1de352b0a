"""Fault 54: a model that is swapped while it labels is noticed, by its name or by its answers to
probes, and what it may have labelled since the last good look is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labelling_jobs import attempts, claims, is_about_a_text, job_for, labels, run_here, words
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.judge import RequestError
from classifiers.labelling import model_probes


def swapping(server: ScriptedServer, after: int) -> None:
    """From request ``after`` on another model answers, under the same name."""

    def script(asked: Asked) -> Reply | None:
        if asked.number >= after:
            server.salt = "another model"
        return None

    server.script = script


@pytest.mark.parametrize("after", [260, 390])
def test_other_answers_to_probes_end_the_job_and_take_labels_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Swapped amid the documents, and shortly before the last look."""
    monkeypatch.setattr(model_probes, "EVERY", 100)
    with ScriptedServer(delay=0.005) as server:
        job = job_for(tmp_path, server, words(400))
        swapping(server, after)
        with pytest.raises(RequestError, match="is not the model it was") as caught:
            run_here(job)
        assert caught.value.code == "model-changed"
        is_document = is_about_a_text(job)
        honest = sum(is_document(asked) for asked in server.answered if asked.number < after)
        paid = attempts(job)
        assert len(paid) == sum(map(is_document, server.answered)), "what was paid is written down"
        kept = [stored.key for stored in labels(job)]
        assert 0 < len(kept) <= honest, "nothing of the other model is left"
        first = {attempt.key for attempt in paid[:honest]}
        assert set(kept) <= first
        assert claims(job) == 0

        asked = len(server.requests)
        with pytest.raises(RequestError, match="is not the model it was"):
            run_here(job)
        assert len(server.requests) - asked <= 8, "it is noticed before any document"

        server.script, server.salt = lambda asked: None, ""
        assert run_here(job).from_store == len(kept)
        assert len(labels(job)) == 400


def test_answers_that_come_in_after_the_swap_was_noticed_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents are slow and probes are not."""
    monkeypatch.setattr(model_probes, "EVERY", 20)
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(300))
        is_document = is_about_a_text(job)

        def script(asked: Asked) -> Reply | None:
            if asked.number >= 25:
                server.salt = "another model"
            if is_document(asked):
                body = json.dumps(server.honest(asked)).encode()
                return Reply(body=body, hang=0.5)
            return None

        server.script = script
        with pytest.raises(RequestError, match="is not the model it was"):
            run_here(job)
        assert len(labels(job)) < 25


def test_another_name_in_a_reply_ends_the_job(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(200))

        def script(asked: Asked) -> Reply | None:
            if asked.number < 100:
                return None
            return Reply(body=json.dumps({**server.honest(asked), "model": "newer"}).encode())

        server.script = script
        with pytest.raises(RequestError, match="the server answers as 'newer', not as 'judge'"):
            run_here(job)
    assert labels(job) == [], "no look at the probes was good since they were asked about"


def test_a_swap_before_the_budget_ends_is_noticed(tmp_path: Path) -> None:
    from classifiers.labelling.label_config import Budget

    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(300), budget=Budget(tokens=20_000))
        swapping(server, 30)
        with pytest.raises(RequestError, match="is not the model it was"):
            run_here(job)
    assert labels(job) == []


def test_the_same_model_with_a_little_noise_is_the_same(tmp_path: Path) -> None:
    with ScriptedServer() as server:

        def script(asked: Asked) -> Reply:
            whole = server.honest(asked)
            for choice in whole["choices"]:
                (top,) = choice["logprobs"]["top_logprobs"]
                top.update({name: value - asked.number % 7 / 1_000 for name, value in top.items()})
            return Reply(body=json.dumps(whole).encode())

        server.script = script
        job = job_for(tmp_path, server, words(100))
        assert run_here(job).done == 100


def test_a_model_folder_that_is_not_what_the_manifest_pins_is_refused(tmp_path: Path) -> None:
    from pipeline.errors import Refusal

    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(3), spec={"revision": "0" * 40})
        with pytest.raises(Refusal, match="the manifest pins"):
            run_here(job)
    assert server.requests == []
