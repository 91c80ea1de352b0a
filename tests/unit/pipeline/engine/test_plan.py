from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_runs import load, small_project, write_lines

from pipeline.console import Console
from pipeline.engine.plan import Plan, make_plan
from pipeline.engine.run import run

STAGES = [
    "01-Short",
    "02-ids",
    "03-exact_dedup.map",
    "04-exact_dedup.reduce",
    "05-exact_dedup",
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is complete; tests leave it as it is."""
    path = small_project(tmp_path_factory.mktemp("done"))
    assert run(load(path), quiet()).exit_code == 0
    return path


def quiet() -> Console:
    return Console(None, open(os.devnull, "w"))


def statuses(plan: Plan) -> list[str]:
    return [planned.status for planned in plan.stages]


def test_everything_is_new_at_first(tmp_path: Path) -> None:
    plan = make_plan(load(small_project(tmp_path)))
    assert [planned.stage.name for planned in plan.stages] == STAGES
    assert {(p.status, p.why) for p in plan.stages} == {("run", "new")}
    assert not (tmp_path / "out").exists(), "a plan writes nothing"


def test_complete_run_is_reused(done: Path) -> None:
    assert statuses(make_plan(load(done))) == ["reuse"] * 5


def test_edited_parameter_is_named_and_what_follows_reruns(done: Path) -> None:
    plan = make_plan(load(done, "steps.Short.least=6"))
    assert statuses(plan) == ["run"] * 5
    assert plan.stages[0].why == "steps.Short.least: 5 → 6"
    assert plan.stages[2].why == "follows from 01-Short"


def test_worker_count_changes_nothing(done: Path) -> None:
    """Fault 46."""
    assert statuses(make_plan(load(done, "executor.workers=1"))) == ["reuse"] * 5


def test_changed_code_is_named(done: Path) -> None:
    code = done.parent / "short.py"
    before = code.read_text()
    code.write_text(before + "\n# edited\n")
    try:
        plan = make_plan(load(done))
        assert plan.stages[0].why == "code or a library changed"
        assert statuses(plan) == ["run"] * 5
    finally:
        code.write_text(before)


def test_new_file_leaves_the_other_shards_alone(done: Path) -> None:
    write_lines(done.parent / "a3.jsonl", ["something new"])
    try:
        plan = make_plan(load(done))
        first = plan.stages[0]
        assert [task.label for task in first.pending] == ["a3.jsonl"]
        assert first.why == "input changed"
        assert [task.label for task in plan.stages[2].pending] == ["a3.jsonl"]
        assert len(plan.stages[4].pending) == 4
    finally:
        (done.parent / "a3.jsonl").unlink()


def test_edited_input_reruns_its_shard(done: Path) -> None:
    path = done.parent / "a2.jsonl"
    before = path.read_bytes()
    write_lines(path, ["one more TEXT", "no"])
    try:
        assert [t.label for t in make_plan(load(done)).stages[0].pending] == ["a2.jsonl"]
    finally:
        path.write_bytes(before)


def test_deleted_output_is_found(done: Path) -> None:
    """Fault 48."""
    path = sorted((done.parent / "out" / "stages").glob("05-*/kept/*.parquet"))[0]
    before = path.read_bytes()
    path.unlink()
    try:
        planned = make_plan(load(done)).stages[4]
        assert planned.status == "run"
        assert planned.why == f"1 of 3 tasks: output kept/{path.name} is gone"
    finally:
        path.write_bytes(before)


def test_edited_output_is_found_though_its_size_is_the_same(done: Path) -> None:
    """Fault 48."""
    path = sorted((done.parent / "out" / "stages").glob("01-*/kept/*.parquet"))[0]
    before = path.read_bytes()
    edited = bytearray(before)
    edited[100] ^= 1
    path.write_bytes(edited)
    try:
        planned = make_plan(load(done)).stages[0]
        assert planned.why == f"1 of 3 tasks: output kept/{path.name} was changed"
    finally:
        path.write_bytes(before)


def test_time_is_estimated_from_the_last_run(done: Path) -> None:
    planned = make_plan(load(done, "steps.Short.least=6")).stages[0]
    assert planned.seconds is not None
    assert planned.seconds > 0
