from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks import Raise, Write, job

from pipeline.engine.lock import locked
from pipeline.engine.stage import find_receipt, task_folder
from pipeline.engine.worker import Claim, Job, read_claims, read_failures, read_progress, run_task


def test_task_is_committed_and_its_claim_goes(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("hello")})
    run_task(made, made.tasks[0])
    receipt = find_receipt(made.store, "fp-a")
    assert receipt is not None
    assert receipt.metrics == {"length": 5}
    assert read_claims(made.scratch) == []
    assert not list((made.temporary).iterdir())


def test_progress_is_told(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("hello")})
    run_task(made, made.tasks[0])
    assert read_progress(made.scratch) == {"a": (1, 2)}


def test_own_error_is_recorded_with_its_hint(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Raise(own=True)})
    run_task(made, made.tasks[0])
    (failure,) = read_failures(made.scratch)
    assert (failure.code, failure.message, failure.hint) == (
        "bad-shard",
        "the shard is bad",
        "mend it",
    )
    assert failure.label == "label of a"
    assert find_receipt(made.store, "fp-a") is None


def test_foreign_error_is_recorded_with_its_trace(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Raise(own=False)})
    run_task(made, made.tasks[0])
    (failure,) = read_failures(made.scratch)
    assert failure.code == "crash"
    assert "ValueError: a fault in a step" in failure.message
    assert "Traceback" in failure.trace
    assert read_claims(made.scratch) == []


def test_claim_of_this_process_is_alive_and_of_an_older_one_is_not(tmp_path: Path) -> None:
    from pipeline.engine.processes import process_birth

    born = process_birth(os.getpid())
    assert born is not None
    assert Claim("k", os.getpid(), born).is_alive
    assert not Claim("k", os.getpid(), born - 1).is_alive


def test_claims_are_read_in_order_of_keys(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    for key in ("b", "a"):
        claim = {"key": key, "pid": 1, "born": 1}
        (tmp_path / "claims" / f"{key}.json").write_text(json.dumps(claim))
    assert [claim.key for claim in read_claims(tmp_path)] == ["a", "b"]


def test_task_that_another_run_is_at_work_on_is_waited_for(tmp_path: Path) -> None:
    """Fault 73: two runs share a task; one does it, the other waits."""
    made = job(tmp_path, {"a": Write("hello")})
    with locked_task(made, "fp-a"):
        waiting = threading.Thread(target=run_task, args=(made, made.tasks[0]))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert find_receipt(made.store, "fp-a") is None
    waiting.join(20)
    assert find_receipt(made.store, "fp-a") is not None


def test_task_that_another_run_has_done_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("hello")})
    run_task(made, made.tasks[0])
    written = task_folder(made.store, "fp-a") / "hello.txt"
    before = written.stat().st_ino
    run_task(made, made.tasks[0])
    assert written.stat().st_ino == before


def test_task_whose_file_was_edited_is_done_again(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("hello")})
    run_task(made, made.tasks[0])
    written = task_folder(made.store, "fp-a") / "hello.txt"
    written.write_text("HELLO")
    run_task(made, made.tasks[0])
    assert written.read_text() == "hello"


@contextmanager
def locked_task(made: Job, fingerprint: str) -> Iterator[None]:
    (made.store / "locks").mkdir()
    with locked(made.store / "locks" / f"{fingerprint}.json"):
        yield
