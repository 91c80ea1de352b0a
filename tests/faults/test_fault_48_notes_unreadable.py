"""Fault 48 and its kin: what winnow itself wrote was cut short or edited, and the run goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_runs import contents, files_of, load, small_project, winnow

from pipeline.engine.run import run


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_project(tmp_path_factory.mktemp("notes"))
    assert run(load(path)).exit_code == 0
    return path


@pytest.mark.parametrize("name", ["out/plan.json", ".store/cache.sqlite", "out/run_results.json"])
def test_note_that_is_cut_short_costs_nothing_but_time(done: Path, name: str) -> None:
    note = done.parent / name
    note.write_bytes(note.read_bytes()[:20])
    results = run(load(done))
    assert results.exit_code == 0
    assert {stage.status for stage in results.stages} == {"reused"}
    assert winnow("status", done.parent / "out").returncode == 0


def test_lock_that_is_cut_short_does_not_lock_for_ever(done: Path) -> None:
    (done.parent / "out" / "lock.json").write_text('{"host": "a')
    assert run(load(done)).exit_code == 0


def test_receipt_that_is_cut_short_is_made_again(done: Path) -> None:
    before = contents(done.parent / "out")
    receipt = files_of(done.parent / "out", "Short", "receipt.json")[0]
    receipt.write_text("{")
    assert winnow("verify", done.parent / "out").returncode == 1
    assert run(load(done)).exit_code == 0
    assert contents(done.parent / "out") == before


def test_rotten_bit_that_keeps_size_and_time_is_found_by_verify_and_then_mended(done: Path) -> None:
    before = contents(done.parent / "out")
    path = files_of(done.parent / "out", "corpus")[0]
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = winnow("verify", done.parent / "out")
    assert found.returncode == 1
    assert path.name in found.stdout
    assert run(load(done)).exit_code == 0
    assert contents(done.parent / "out") == before


def test_failed_rerun_does_not_vouch_for_the_file_it_could_not_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project(tmp_path)
    code = tmp_path / "short.py"
    fail = "        import os\n        assert 'BOOM' not in os.environ\n        length"
    code.write_text(code.read_text().replace("        length", fail, 1))
    run(load(path))
    before = contents(tmp_path / "out")
    kept = files_of(tmp_path / "out", "Short")[0]
    data = bytearray(kept.read_bytes())
    data[40] ^= 1
    kept.write_bytes(data)
    with monkeypatch.context() as patch:
        patch.setenv("BOOM", "1")
        assert run(load(path)).exit_code == 1
    assert run(load(path)).stages[0].status == "done"
    assert contents(tmp_path / "out") == before


def test_input_in_the_output_folder_is_refused(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    path.write_text(path.read_text().replace('"a*.jsonl"', '"**/*.jsonl"'))
    (tmp_path / "out" / "logs").mkdir(parents=True)
    (tmp_path / "out" / "logs" / "events.jsonl").write_text('{"text": "x"}\n')
    done = winnow("plan", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "input-in-output" in done.stderr


def test_helper_beside_a_custom_step_is_part_of_its_code(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    code = tmp_path / "short.py"
    code.write_text(
        code.read_text().replace("import numpy", "from limits import LEAST\nimport numpy")
    )
    code.write_text(code.read_text().replace("least: int = 5", "least: int = LEAST"))
    path.write_text(
        path.read_text().replace("  - short.py:Short: {least: 5}", "  - short.py:Short")
    )
    outputs = []
    for least in (3, 14):
        (tmp_path / "limits.py").write_text(f"LEAST = {least}\n")
        done = winnow("run", path, cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines()[1])
    assert outputs[0] != outputs[1]
