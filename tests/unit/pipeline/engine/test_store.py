from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_runs import contents, load, small_project, winnow

from pipeline.engine.run import run
from pipeline.engine.store import collect_garbage, use
from pipeline.errors import Refusal


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    """Two runs that share a store: another threshold gives another corpus."""
    path = small_project(tmp_path)
    run(load(path))
    run(load(path, "steps.Short.least=14", output="strict"))
    return path


def test_nothing_is_garbage_while_runs_refer_to_it(two_runs: Path) -> None:
    found = collect_garbage(two_runs.parent / ".store", remove=True)
    assert (found.tasks, found.bytes) == ((), 0)
    assert {s.status for s in run(load(two_runs)).stages} == {"reused"}


def test_what_only_a_deleted_run_referred_to_goes_and_the_rest_stays(two_runs: Path) -> None:
    store = two_runs.parent / ".store"
    before = contents(two_runs.parent / "out")
    shutil.rmtree(two_runs.parent / "strict")
    said = collect_garbage(store, remove=False)
    assert said.tasks
    assert said.bytes > 0
    assert len(said.lost_runs) == 1
    assert collect_garbage(store, remove=True).tasks == said.tasks
    assert collect_garbage(store, remove=False).tasks == ()
    assert contents(two_runs.parent / "out") == before
    assert {stage.status for stage in run(load(two_runs)).stages} == {"reused"}


def test_what_an_earlier_manifest_of_a_run_made_is_garbage(two_runs: Path) -> None:
    store = two_runs.parent / ".store"
    run(load(two_runs, "steps.Short.least=13"))
    assert collect_garbage(store, remove=False).tasks


def test_nothing_is_collected_while_a_run_uses_the_store(two_runs: Path) -> None:
    """Fault 74."""
    store = two_runs.parent / ".store"
    with use(store, two_runs.parent / "out"), pytest.raises(Refusal, match="a run is using"):
        collect_garbage(store, remove=True)


def test_command_says_what_it_would_free_and_then_frees_it(two_runs: Path) -> None:
    shutil.rmtree(two_runs.parent / "strict")
    store = two_runs.parent / ".store"
    said = winnow("gc", store)
    assert said.returncode == 0
    assert "would be freed with --delete" in said.stdout
    assert "freed" in winnow("gc", store, "--delete").stdout
    assert winnow("gc", store).stdout.splitlines()[-1].startswith("0 results")


def test_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    done = winnow("gc", tmp_path)
    assert done.returncode == 2
    assert "no-store" in done.stderr
