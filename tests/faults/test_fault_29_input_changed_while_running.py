"""Fault 29: a file that changes after the plan froze it fails its shard and leaves nothing."""

from __future__ import annotations

from pathlib import Path

from small_runs import load, small_project, write_lines

from pipeline.engine.lock import Fence
from pipeline.engine.plan import make_plan
from pipeline.engine.row_tasks import RowTask
from pipeline.engine.worker import Job, read_failures, run_task


def test_changed_file_leaves_no_receipt(tmp_path: Path) -> None:
    plan = make_plan(load(small_project(tmp_path)))
    stage = plan.stages[0].stage
    task = next(task for task in stage.tasks if task.label == "a2.jsonl")
    assert isinstance(task.spec, RowTask)
    write_lines(tmp_path / "a2.jsonl", ["other text than was planned"])
    job = Job(
        stage.name, tmp_path / "store", (task,), tmp_path / "new", tmp_path / "scratch", Fence()
    )
    run_task(job, task)
    (failure,) = read_failures(job.scratch)
    assert failure.code == "input-changed"
    assert not list(job.store.rglob("*.json"))
    assert not list(job.store.rglob("*.parquet"))
