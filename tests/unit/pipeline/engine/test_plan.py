from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import files_of, load, small_project, write_lines

from dedup.exact_dedup import ExactDedup
from pipeline.console import Console
from pipeline.engine.plan import Plan, make_plan, root_causes
from pipeline.engine.run import run
from pipeline.errors import Refusal

STAGES = ["Short", "ids", "exact_dedup.map", "exact_dedup.reduce", "exact_dedup", "corpus"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is complete; tests leave it as it is."""
    path = small_project(tmp_path_factory.mktemp("done"))
    assert run(load(path), quiet()).exit_code == 0
    return path


@pytest.fixture
def restored(done: Path) -> Iterator[Path]:
    """The same, for tests that edit its manifest or code."""
    files = [done, done.parent / "short.py"]
    before = [file.read_text() for file in files]
    yield done
    for file, text in zip(files, before, strict=True):
        file.write_text(text)


def quiet() -> Console:
    return Console(None, open(os.devnull, "w"))


def statuses(plan: Plan) -> list[str]:
    return [planned.status for planned in plan.stages]


def test_everything_is_new_at_first(tmp_path: Path) -> None:
    plan = make_plan(load(small_project(tmp_path)))
    assert [planned.stage.name for planned in plan.stages] == STAGES
    assert {(p.status, p.why) for p in plan.stages} == {("run", "new")}
    assert not (tmp_path / "out").exists(), "a plan writes nothing"
    assert not (tmp_path / ".store").exists()


def test_complete_run_is_reused(done: Path) -> None:
    assert statuses(make_plan(load(done))) == ["reuse"] * 6


def test_edited_parameter_is_named_and_what_follows_depends_on_it(done: Path) -> None:
    plan = make_plan(load(done, "steps.Short.least=6"))
    assert statuses(plan) == ["run"] + ["depends"] * 5
    assert plan.stages[0].why == "steps.Short.least: 5 → 6"
    assert plan.stages[2].why == "follows from Short; reused if that gives the same"


def test_worker_count_changes_nothing(done: Path) -> None:
    """Fault 46."""
    assert statuses(make_plan(load(done, "executor.workers=1"))) == ["reuse"] * 6


def test_wording_of_code_and_layout_of_the_manifest_change_nothing(restored: Path) -> None:
    code = restored.parent / "short.py"
    code.write_text(code.read_text().replace("Drop short texts.", "Drop texts.") + "\n# edited\n")
    text = restored.read_text().replace("  - exact_dedup", "  # duplicates\n  -   exact_dedup: {}")
    restored.write_text(text.replace("name: small", "name:    small"))
    assert statuses(make_plan(load(restored))) == ["reuse"] * 6


def test_changed_code_beside_the_manifest_is_named(restored: Path) -> None:
    code = restored.parent / "short.py"
    code.write_text(code.read_text().replace("length >=", "length >"))
    plan = make_plan(load(restored))
    assert plan.stages[0].why == "code of short.py changed"
    assert plan.stages[0].status == "run"


def test_changed_version_is_named(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExactDedup, "version", 7)
    plan = make_plan(load(done))
    assert statuses(plan) == ["reuse", "reuse", "run", "run", "run", "depends"]
    assert plan.stages[2].why == "version of step ExactDedup: 1 → 7"


def test_code_that_changed_without_a_version_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project(tmp_path)
    run(load(path), quiet())
    plan = make_plan(load(path))
    assert plan.explainer.warnings() == []
    plan.explainer.code["dedup.exact_dedup"] = "another"
    (warning,) = plan.explainer.warnings()
    assert "the code of dedup.exact_dedup changed and no version did" in warning


def test_new_file_leaves_the_other_shards_alone(done: Path) -> None:
    write_lines(done.parent / "a3.jsonl", ["something new"])
    try:
        plan = make_plan(load(done))
        first = plan.stages[0]
        assert [task.label for task in first.pending] == ["a3.jsonl"]
        assert first.why == "new: a3.jsonl"
        assert [task.label for task in plan.stages[2].waiting] == ["a3.jsonl"]
        assert len(plan.stages[4].waiting) == 4
    finally:
        (done.parent / "a3.jsonl").unlink()


def test_edited_input_reruns_its_shard_and_is_named_with_both_versions(done: Path) -> None:
    path = done.parent / "a2.jsonl"
    before, found = path.read_bytes(), path.stat()
    write_lines(path, ["one more TEXT", "no"])
    try:
        first = make_plan(load(done)).stages[0]
        assert [t.label for t in first.pending] == ["a2.jsonl"]
        assert first.why.startswith(f"a2.jsonl changed: {len(before)} bytes of ")
        assert " → " in first.why
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "  - exact_dedup\n",
            "  - exact_dedup\n  - short.py:Short: {least: 7}\n",
            "steps.Short_2 added",
        ),
        (
            "  - exact_dedup",
            "  - short.py:Short: {least: 7}\n  - exact_dedup",
            "steps.Short_2 added",
        ),
        ("  - short.py:Short: {least: 5}\n", "", "steps.Short removed"),
        ('paths: "a*.jsonl"', 'paths: "a*.jsonl", text: id, id: text', "sources.a.id added"),
    ],
)
def test_the_field_that_changed_is_named(restored: Path, old: str, new: str, why: str) -> None:
    restored.write_text(restored.read_text().replace(old, new))
    plan = make_plan(load(restored))
    assert why in [part for p in plan.stages for part in (p.changes or (p.why,))]


def test_another_order_of_steps_is_named(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    code = tmp_path / "short.py"
    code.write_text(code.read_text() + code.read_text().split("\n\n\n")[1].replace("Short", "Tiny"))
    both = path.read_text().replace("  - exact", "  - short.py:Tiny: {least: 1}\n  - exact")
    path.write_text(both)
    run(load(path), quiet())
    lines = ["  - short.py:Short: {least: 5}\n", "  - short.py:Tiny: {least: 1}\n"]
    path.write_text(both.replace("".join(lines), "".join(lines[::-1])))
    why = make_plan(load(path)).stages[0].why
    assert why == "steps in another order: Short, Tiny → Tiny, Short"


def test_root_cause_is_found_through_all_that_follows(done: Path) -> None:
    plan = make_plan(load(done, "steps.Short.least=6"))
    lines = root_causes(plan, "exact_dedup")
    assert lines[0].startswith("exact_dedup: follows from Short, exact_dedup.reduce")
    assert "Short: steps.Short.least: 5 → 6" in lines
    assert root_causes(make_plan(load(done)), "exact_dedup") == ["exact_dedup is reused"]
    with pytest.raises(Refusal, match="no stage 'x'"):
        root_causes(plan, "x")


def test_deleted_output_is_found(done: Path) -> None:
    """Fault 48."""
    path = files_of(done.parent / "out", "corpus")[0]
    before = path.read_bytes()
    path.unlink()
    try:
        planned = make_plan(load(done)).stages[5]
        assert planned.status == "run"
        assert planned.why == f"1 of 3 tasks: output kept/{path.name} is gone"
    finally:
        path.write_bytes(before)


def test_edited_output_is_found_though_its_size_is_the_same(done: Path) -> None:
    """Fault 48."""
    path = files_of(done.parent / "out", "Short")[0]
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


def test_folder_moved_elsewhere_with_its_store_is_reused(done: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(done.parent, moved, symlinks=True)
    plan = make_plan(load(moved / "m.yaml"))
    assert statuses(plan) == ["reuse"] * 6
    assert len(list((moved / "out" / "corpus").glob("*/*.parquet"))) == 3
