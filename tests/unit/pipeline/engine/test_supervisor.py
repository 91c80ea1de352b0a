from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tasks import DieUntil, Exit, KillIdle, NeverReturn, Raise, Unprepared, Write, job

from pipeline.engine.local_executor import LocalExecutor
from pipeline.engine.stage import find_receipt, task_folder
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.worker import Job
from pipeline.errors import Refusal
from pipeline.executor import Executor, TaskCall, TaskEnd, WorkerPool


@pytest.fixture(params=[1, 2])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    with Supervisor(LocalExecutor(workers=request.param), tmp_path / "logs") as made:
        yield made


def keys_committed(made: Job) -> set[str]:
    return {t.key for t in made.tasks if find_receipt(made.store, t.fingerprint) is not None}


def test_all_tasks_are_committed(supervisor: Supervisor, tmp_path: Path) -> None:
    made = job(tmp_path, {f"t{n}": Write(f"t{n}") for n in range(5)})
    assert supervisor.run(made) == []
    assert keys_committed(made) == {f"t{n}" for n in range(5)}


def test_several_jobs_run_one_after_the_other(supervisor: Supervisor, tmp_path: Path) -> None:
    for stage in ("a", "b", "c"):
        made = job(tmp_path / stage, {"x": Write("x"), "y": Write("y")}, stage)
        assert supervisor.run(made) == []
        assert keys_committed(made) == {"x", "y"}


def test_failing_task_does_not_stop_the_others(supervisor: Supervisor, tmp_path: Path) -> None:
    made = job(
        tmp_path, {"a": Raise(own=True), "b": Write("b"), "c": Raise(own=False), "d": Write("d")}
    )
    failures = supervisor.run(made)
    assert [(f.key, f.code) for f in failures] == [("a", "bad-shard"), ("c", "crash")]
    assert keys_committed(made) == {"b", "d"}


def test_killed_worker_is_noticed_and_its_task_tried_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": DieUntil(tmp_path / "m", 1), "c": Write("c")})
    assert supervisor.run(made) == []
    assert keys_committed(made) == {"a", "b", "c"}


def test_task_that_kills_its_worker_twice_fails_by_name(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": DieUntil(tmp_path / "m", 99), "c": Write("c")})
    (failure,) = supervisor.run(made)
    assert (failure.key, failure.code) == ("b", "worker-died")
    assert "label of b" in failure.message
    assert (tmp_path / "m").read_text() == "xx"
    assert keys_committed(made) == {"a", "c"}


def test_failures_before_a_death_are_not_forgotten(supervisor: Supervisor, tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Raise(own=True), "b": DieUntil(tmp_path / "m", 99), "c": Write("c")})
    assert [f.code for f in supervisor.run(made)] == ["bad-shard", "worker-died"]


def test_fault_in_preparation_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    (failure,) = supervisor.run(job(tmp_path, {"a": Unprepared()}))
    assert failure.code == "workers-failed"
    assert "no dictionary" in failure.message
    made = job(tmp_path, {"b": Write("b")}, "after")
    assert supervisor.run(made) == [], "and the next job finds a pool"


def test_watch_is_called_meanwhile(supervisor: Supervisor, tmp_path: Path) -> None:
    calls: list[int] = []
    supervisor.run(job(tmp_path, {"a": Write("a")}), lambda: calls.append(1))
    assert calls


def test_what_workers_print_goes_to_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Supervisor(LocalExecutor(workers=2), tmp_path / "logs") as supervisor:
        supervisor.run(job(tmp_path, {"a": Write("a")}))
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "logs" / "workers.log").stat().st_size > 0


def test_committed_task_is_found_by_its_receipt(tmp_path: Path) -> None:
    """A worker that dies right after its commit has done its task (fault 36)."""
    import os

    os.environ["WINNOW_KILL_AT"] = "receipt-renamed"
    try:
        with Supervisor(LocalExecutor(workers=2), tmp_path / "logs") as supervisor:
            made = job(tmp_path, {"a": Write("a"), "b": Write("b")})
            assert supervisor.run(made) == []
    finally:
        del os.environ["WINNOW_KILL_AT"]
    receipt = find_receipt(made.store, "fp-a")
    assert receipt is not None
    assert receipt.metrics == {"length": 1}


def test_worker_killed_between_two_tasks_does_not_hang_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 42: an idle worker takes along the lock that the others wait for."""
    monkeypatch.setattr("pipeline.engine.local_worker_pool.STALL_S", 2.0)
    made = job(tmp_path, {"slow": KillIdle(tmp_path / "killed"), "quick": Write("quick")})
    with Supervisor(LocalExecutor(workers=2), tmp_path / "logs") as supervisor:
        assert supervisor.run(made) == []
    assert (tmp_path / "killed").exists()
    assert keys_committed(made) == {"slow", "quick"}


def test_a_task_that_never_returns_fails_by_the_limit_and_the_others_are_done(
    tmp_path: Path,
) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": NeverReturn(), "c": Write("c")})
    with Supervisor(LocalExecutor(workers=1, task_limit_s=1.0), tmp_path / "logs") as limited:
        (failure,) = limited.run(made)
    assert (failure.key, failure.code) == ("b", "task-too-long")
    assert "label of b" in failure.message
    assert "executor.task_limit_s: 1" in failure.message
    assert keys_committed(made) == {"a", "c"}


def test_a_task_that_exits_is_its_own_failure(supervisor: Supervisor, tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Exit(), "b": Write("b")})
    (failure,) = supervisor.run(made)
    assert (failure.key, failure.code) == ("a", "crash")
    assert "SystemExit" in failure.message
    assert keys_committed(made) == {"b"}


class Scripted(Executor):
    """Runs tasks in this process, but for those that ``ends`` says other things of: the reports of
    a task's first ends, in order."""

    ends: dict[str, list[TaskEnd]] = {}
    fault: str = ""

    def start(self, logs: Path) -> WorkerPool:
        if self.fault == "start":
            raise OSError("no cluster there")
        return ScriptedPool({key: list(ends) for key, ends in self.ends.items()}, self.fault)


class ScriptedPool:
    def __init__(self, ends: dict[str, list[TaskEnd]], fault: str) -> None:
        self.ends, self.fault = ends, fault
        self.waiting: list[TaskCall] = []

    def submit(self, calls: Sequence[TaskCall]) -> None:
        if self.fault == "submit":
            raise Refusal("no-queue", "the queue is closed", "open it")
        self.waiting += calls

    def poll(self, timeout_s: float) -> list[TaskEnd]:
        call = self.waiting.pop(0)
        if self.ends.get(call.key):
            return [self.ends[call.key].pop(0)]
        call.run()
        return [TaskEnd(call.key)]

    def cancel(self, key: str) -> None:
        raise AssertionError("nothing is late")

    def close(self) -> None:
        self.waiting = []


def run_scripted(made: Job, executor: Scripted) -> list[tuple[str, str, str]]:
    with Supervisor(executor, made.scratch / "logs") as supervisor:
        return [(f.key, f.code, f.message) for f in supervisor.run(made)]


def test_an_end_without_receipt_is_a_loss_whatever_the_executor_says(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": Write("b"), "c": Write("c")})
    executor = Scripted(ends={"a": [TaskEnd("a")], "b": [TaskEnd("b"), TaskEnd("b", "node gone")]})
    assert run_scripted(made, executor) == [
        ("b", "worker-died", "the worker on label of b died 2 times: node gone")
    ]
    assert keys_committed(made) == {"a", "c"}


def test_preempted_tasks_are_tried_until_they_are_done(tmp_path: Path) -> None:
    made = job(tmp_path, {"a": Write("a")})
    executor = Scripted(ends={"a": [TaskEnd("a", "preempted", preempted=True)] * 5})
    assert run_scripted(made, executor) == []
    assert keys_committed(made) == {"a"}


def test_a_receipt_from_before_whose_files_are_broken_does_not_prove_a_lost_task(
    tmp_path: Path,
) -> None:
    made = job(tmp_path, {"a": Write("a")})
    assert run_scripted(made, Scripted()) == []
    (task_folder(tmp_path, "fp-a") / "a.txt").write_text("x")
    assert run_scripted(made, Scripted(ends={"a": [TaskEnd("a", "killed")]})) == []
    assert (task_folder(tmp_path, "fp-a") / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("start", "executor-failed", "test_supervisor.py:"),
        ("start", "executor-failed", "raised OSError: no cluster there"),
        ("submit", "no-queue", "the queue is closed"),
    ],
)
def test_an_executor_that_fails_fails_the_tasks_that_are_left(
    tmp_path: Path, fault: str, code: str, message: str
) -> None:
    made = job(tmp_path, {"a": Write("a"), "b": Write("b")})
    found = run_scripted(made, Scripted(fault=fault))
    assert [(key, reported) for key, reported, _ in found] == [("a", code), ("b", code)]
    assert message in found[0][2]
