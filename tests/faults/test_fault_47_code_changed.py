"""Faults 46 to 48: what changed reruns and nothing else; the result is that of a fresh run."""

from __future__ import annotations

from pathlib import Path

from small_runs import contents, files_of, load, small_project

from pipeline.engine.run import run


def test_changed_code_in_the_same_folder_gives_what_a_fresh_run_gives(tmp_path: Path) -> None:
    """Fault 47."""
    path = small_project(tmp_path / "used")
    run(load(path))
    code = path.parent / "short.py"
    code.write_text(code.read_text().replace(">= self.least", "> self.least + 6"))
    results = run(load(path))
    assert results.stages[0].status == "done"
    fresh = small_project(tmp_path / "fresh")
    (fresh.parent / "short.py").write_text(code.read_text())
    run(load(fresh))
    made = contents(fresh.parent / "out")
    assert {name: contents(path.parent / "out")[name] for name in made} == made


def test_worker_count_does_not_change_a_byte(tmp_path: Path) -> None:
    """Fault 46."""
    outputs = []
    for workers in (1, 3):
        path = small_project(tmp_path / str(workers))
        run(load(path, f"executor.workers={workers}"))
        outputs.append(contents(path.parent / "out"))
    assert outputs[0] == outputs[1]


def test_deleted_and_edited_outputs_are_made_again(tmp_path: Path) -> None:
    """Fault 48."""
    path = small_project(tmp_path)
    run(load(path))
    before = contents(tmp_path / "out")
    files_of(tmp_path / "out", "Short")[0].unlink()
    files_of(tmp_path / "out", "corpus")[-1].write_bytes(b"edited")
    results = run(load(path))
    assert contents(tmp_path / "out") == before
    assert [s.status for s in results.stages].count("done") == 2
