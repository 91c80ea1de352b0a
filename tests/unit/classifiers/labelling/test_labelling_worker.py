"""The worker as a process of its own, against a server on loopback."""

from __future__ import annotations

import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelling_jobs import (
    attempts,
    claims,
    is_about_a_text,
    is_gone,
    job_for,
    kill,
    labels,
    launch,
    outcomes,
    run_here,
    until,
    words,
    worker_of,
)
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.judge import RequestError
from classifiers.judges.judge_config import Prices
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import LabelStore
from classifiers.labelling.labelling_job import Job, Pass, run_job
from pipeline.errors import Refusal, ShardError


def documents_answered(job: Job, server: ScriptedServer) -> int:
    is_document = is_about_a_text(job)
    return sum(map(is_document, server.answered))


# --- a job, and the same again ---


def test_every_distinct_text_gets_one_label_and_is_paid_once(tmp_path: Path) -> None:
    texts = [*words(40), *words(10)]
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, texts)
        status = run_here(job)
        assert (status.done, status.total, status.from_store, status.lost) == (40, 40, 0, 0)
        assert len(labels(job)) == documents_answered(job, server) == 40
        spent = sum(a.prompt_tokens for a in attempts(job) + attempts(job, "probe"))
        assert spent == server.tokens["prompt"], "the ledger holds what the server has counted"
    assert claims(job) == 0


def test_second_job_asks_nothing_and_needs_no_server(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(5))
        first = run_here(job)
    again = run_here(job)
    assert (again.done, again.from_store, again.judge) == (5, 5, first.judge)


def test_other_template_arguments_are_another_judge(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        first = run_here(job_for(tmp_path, server, words(5)))
        spec = {"template_args": {"enable_thinking": True}}
        second = run_here(job_for(tmp_path, server, words(5), spec=spec))
    assert second.from_store == 0
    assert second.judge != first.judge


def test_labels_of_a_chat_judge_are_not_those_of_token_ids(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        first = run_here(job_for(tmp_path, server, words(3), spec={"api": "chat"}))
        second = run_here(job_for(tmp_path, server, words(3)))
    assert (first.judge != second.judge, second.from_store) == (True, 0)


def test_changed_tokenizer_is_another_judge(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        spec = {"model": "served", "tokenizer": "judge"}
        server.model = "served"
        run_here(job_for(tmp_path, server, words(3), spec=spec))
        template = tmp_path / "judge" / "chat_template.jinja"
        template.write_text(template.read_text().replace("assistant", "judge"))
        assert run_here(job_for(tmp_path, server, words(3), spec=spec)).from_store == 0


def test_more_documents_later_are_the_only_ones_paid(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        run_here(job_for(tmp_path, server, words(5)))
        job = job_for(tmp_path, server, words(12))
        status = run_here(job)
        assert (status.done, status.from_store) == (12, 5)
        assert documents_answered(job, server) == 12


def test_passes_are_asked_one_after_the_other_and_counted_together(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(20))
        few = tmp_path / "few.parquet"
        pq.write_table(pa.table({"text": words(8)}), few)
        job = job.model_copy(
            update={
                "passes": (
                    *job.passes,
                    Pass(purpose="retest", texts=few, repeat=1, limit=256),
                    Pass(purpose="position", texts=few, reverse=True, limit=256),
                )
            }
        )
        status = run_here(job)
    assert (status.done, status.total) == (36, 36)
    assert {stored.repeat for stored in labels(job)} == {0, 1}
    assert len(attempts(job, "retest")) == len(attempts(job, "position")) == 8


def test_rationale_comes_first_and_is_kept(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(4), rationale_tokens=32)
        run_here(job)
    assert all(stored.answer.rationale for stored in labels(job))
    rationale_text = [asked for asked in server.answered if asked.json["max_tokens"] == 32]
    assert len(rationale_text) == 4
    assert not any(asked.json.get("logprobs") for asked in rationale_text)


# --- the budget ---


@pytest.mark.parametrize(
    ("budget", "price"),
    [
        (Budget(tokens=20_000), Prices()),
        (Budget(money=0.02), Prices(prompt=1, cached=0.1, completion=4)),
    ],
    ids=["tokens", "money"],
)
def test_budget_is_used_up_and_never_exceeded(
    tmp_path: Path, budget: Budget, price: Prices
) -> None:
    with ScriptedServer(delay=0.01) as server:
        job = job_for(tmp_path, server, words(300), budget=budget, price=price)
        with pytest.raises(RequestError, match="the budget is spent") as caught:
            run_here(job)
        assert (caught.value.code, caught.value.kind) == ("budget-spent", "fatal")
        assert "raise label.budget" in caught.value.hint
        first = len(labels(job))
        assert f"{first} of 300 documents are done" in caught.value.message
        prompt, generated = server.tokens["prompt"], server.tokens["generation"]
        spent = prompt + (4 if budget.money else 1) * generated  # of 20,000
        assert 20_000 - 2 * longest_prompt(server) <= spent <= 20_000

        status = run_here(job.model_copy(update={"budget": Budget(tokens=1_000_000)}))
        assert (status.done, status.from_store) == (300, first)
        assert documents_answered(job, server) == 300
    assert claims(job) == 0


def longest_prompt(server: ScriptedServer) -> int:
    return max(len(prompt) for asked in server.answered for prompt in asked.prompts)


def test_budget_counts_what_earlier_tries_have_cost(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(100), budget=Budget(tokens=5_000))
        for _ in range(2):
            with pytest.raises(RequestError, match="the budget is spent"):
                run_here(job)
        paid = sum(a.prompt_tokens + a.completion_tokens for a in attempts(job))
    assert paid <= 5_000


# --- whoever wanted the labels is gone ---


def test_killed_launcher_loses_nothing_that_was_under_way(tmp_path: Path) -> None:
    with ScriptedServer(delay=0.4) as server:
        job = job_for(tmp_path, server, words(1_000))
        launcher = launch(job)
        until(lambda: documents_answered(job, server) > 20)
        worker = worker_of(launcher)
        launcher.kill()
        launcher.communicate()
        until(lambda: is_gone(worker))
        # On a busy machine it takes a moment to be noticed, in which some more are asked about.
        assert len(server.requests) < 500, "nothing new but a last look at the probes"
        assert len(labels(job)) == documents_answered(job, server)
        assert outcomes(job) == {"labelled": len(labels(job))}
        assert claims(job) == 0, "documents that were not asked about are free"

        server.delay = 0.0
        status = run_job(job)
        assert (status.done, status.lost) == (1_000, 0)
        assert len(labels(job)) == documents_answered(job, server) == 1_000


def test_killed_worker_leaves_at_most_what_was_under_way_to_be_asked_again(tmp_path: Path) -> None:
    with ScriptedServer(delay=0.2) as server:
        job = job_for(tmp_path, server, words(300), most_at_once=8)
        launcher = launch(job)
        worker = worker_of(launcher)
        until(lambda: documents_answered(job, server) > 30)
        kill(worker, signal.SIGKILL)
        _, status = launcher.communicate()
        assert "labelling-died" in status
        under_way = len(server.requests) - len(server.answered)
        server.delay = 0.0
        status = run_job(job)
    assert 1 <= status.lost <= 8, f"{under_way} were under way"
    assert outcomes(job)["lost"] == status.lost
    assert len(labels(job)) == 300
    assert documents_answered(job, server) <= 300 + status.lost
    assert claims(job) == 0


def test_waits_for_a_next_try_do_not_keep_an_ended_worker(tmp_path: Path) -> None:
    def busy(asked: Asked) -> Reply | None:
        return Reply(429, headers={"Retry-After": "250"}) if is_document(asked) else None

    with ScriptedServer(script=busy) as server:
        job = job_for(tmp_path, server, words(20))
        is_document = is_about_a_text(job)
        launcher = launch(job)
        until(lambda: any(map(is_document, server.requests)))
        worker = worker_of(launcher)
        launcher.kill()
        launcher.communicate()
        until(lambda: is_gone(worker), 20)
    assert claims(job) == 0


def test_worker_that_gets_sigterm_finishes_what_is_under_way(tmp_path: Path) -> None:
    with ScriptedServer(delay=0.3) as server:
        job = job_for(tmp_path, server, words(300))
        launcher = launch(job)
        worker = worker_of(launcher)
        until(lambda: documents_answered(job, server) > 5)
        kill(worker, signal.SIGTERM)
        launcher.communicate()
    assert is_gone(worker)
    assert len(labels(job)) == documents_answered(job, server) < 300


# --- several at once ---


def test_two_workers_share_the_documents_and_each_is_paid_once(tmp_path: Path) -> None:
    with ScriptedServer(delay=0.05) as server:
        job = job_for(tmp_path, server, words(300))
        hirers = [launch(job, name) for name in ("one", "two")]
        status = [launcher.communicate() for launcher in hirers]
        assert [launcher.returncode for launcher in hirers] == [0, 0], status
        assert documents_answered(job, server) == len(labels(job)) == 300
    for out, _ in status:
        assert '"done":300,"total":300,"ended":true' in out
    assert claims(job) == 0


def test_documents_of_a_worker_that_dies_are_taken_over_by_the_other(tmp_path: Path) -> None:
    with ScriptedServer(delay=0.3) as server:
        job = job_for(tmp_path, server, words(200))
        first = launch(job, "one")
        worker = worker_of(first)
        until(lambda: documents_answered(job, server) > 5)
        second = launch(job, "two")
        worker_of(second)
        kill(worker, signal.SIGKILL)
        first.communicate()
        server.delay = 0.0
        _, status = second.communicate()
    assert second.returncode == 0, status
    assert len(labels(job)) == 200
    assert outcomes(job)["labelled"] == 200
    assert documents_answered(job, server) <= 200 + outcomes(job)["lost"]


# --- what the store and the job may be ---


def test_store_that_is_none_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "labels.sqlite").write_bytes(b"these are no labels\n" * 500)
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(3))
        with pytest.raises(ShardError, match="cannot be") as caught:
            run_job(job)
    assert (caught.value.code, "WINNOW_LABELS" in caught.value.hint) == ("label-store", True)
    assert server.requests == []


def test_full_disk_is_an_error_and_nothing_is_asked_for_long(tmp_path: Path) -> None:
    """The store may not grow beyond 300 kB; labels that were paid for are said to be lost."""
    with ScriptedServer(delay=0.01) as server:
        job = job_for(tmp_path, server, words(3_000))
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
        _, status = launch(job, first=limit).communicate(timeout=100)
    assert "label-store" in status
    assert "labels.sqlite cannot be written" in status
    assert len(server.requests) < 3_000
    store = LabelStore(job.store)
    assert len(list(store.labels())) > 0
    store.close()


def test_key_that_the_environment_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(1), spec={"key_env": "JUDGE_KEY"})
        with pytest.raises(Refusal, match="no JUDGE_KEY"):
            run_here(job)


def test_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(1))
    with pytest.raises(ShardError, match=f"no server answers at {server.url}") as caught:
        run_job(job)
    assert (caught.value.code, caught.value.hint) == (
        "unreachable",
        "start the server, or mend server.url",
    )


def test_refusals_of_a_server_that_was_mended_are_asked_about_again(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(80))
        is_document = is_about_a_text(job)

        def refuse(asked: Asked) -> Reply | None:
            refused = asked.number % 2 == 1 and is_document(asked)
            return Reply(400, b'{"error": {"message": "no"}}') if refused else None

        server.script = refuse
        with pytest.raises(RequestError) as caught:
            run_here(job)
        assert caught.value.code == "too-many-errors"
        before = {label.document for label in labels(job)}
        assert before
        assert all(label.answer.labels for label in labels(job))
        server.script = lambda asked: None
        run_here(job)
    assert len(labels(job)) == 80
    assert all(label.answer.labels for label in labels(job))
    assert before < {label.document for label in labels(job)}
