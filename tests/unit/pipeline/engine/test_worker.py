from __future__ import annotations

import json
import os
from pathlib import Path

from tasks import Raise, Write, job

from pipeline.engine.stage import StageOutputs
from pipeline.engine.worker import Claim, read_claims, read_failures, read_progress, run_task


def test_task_is_committed_and_its_claim_goes(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("hello")})
    run_task(made, made.tasks[0])
    receipt = StageOutputs(made.folder, ("a",)).receipt("a")
    assert receipt.fingerprint == "fp-a"
    assert receipt.metrics == {"length": 5}
    assert read_claims(made.scratch) == []
    assert not list((made.folder / "tmp").iterdir())


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
    assert not (made.folder / "receipts").exists()


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
