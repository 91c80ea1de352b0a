"""Fault 36: when a worker dies around its commit, the receipt says whether the task is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from tasks import Write, job

from pipeline.engine.local_executor import LocalExecutor
from pipeline.engine.stage import find_receipt
from pipeline.engine.supervisor import Supervisor


@pytest.mark.parametrize("point", ["receipt-written", "receipt-renamed"])
def test_death_around_the_commit_is_settled_by_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("WINNOW_KILL_AT", f"{point}:1")
    made = job(tmp_path, {"a": Write("a")})
    with Supervisor(LocalExecutor(workers=2), tmp_path / "logs") as supervisor:
        failures = supervisor.run(made)
    is_done = find_receipt(made.store, "fp-a") is not None
    # Before the rename nothing is done, and the second try dies there too; after it all is.
    assert is_done == (point == "receipt-renamed")
    assert [f.code for f in failures] == ([] if is_done else ["worker-died"])
