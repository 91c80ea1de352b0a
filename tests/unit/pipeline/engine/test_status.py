from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import files_of, load, small_project

from pipeline.engine.lock import hold
from pipeline.engine.run import run
from pipeline.engine.status import read_status, verify
from pipeline.errors import Refusal


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_project(tmp_path_factory.mktemp("status"))
    run(load(path))
    return path.parent / "out"


def test_complete_run(output: Path) -> None:
    status = read_status(output)
    assert status.is_complete
    assert status.holder == ""
    first = status.stages[0]
    assert (first.name, first.done, first.tasks) == ("Short", 3, 3)


def test_missing_receipt_shows(output: Path) -> None:
    receipt = files_of(output, "Short", "receipt.json")[0]
    text = receipt.read_bytes()
    receipt.unlink()
    try:
        status = read_status(output)
        assert not status.is_complete
        assert status.stages[0].done == 2
    finally:
        receipt.write_bytes(text)


def test_running_process_is_named(output: Path) -> None:
    with hold(output):
        assert "last seen" in read_status(output).holder


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="holds no run"):
        read_status(tmp_path)


def test_verify_reads_every_output(output: Path) -> None:
    """Fault 48."""
    assert verify(output) == []
    path = files_of(output, "corpus")[0]
    good = path.read_bytes()
    try:
        path.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
        assert verify(output) == [f"corpus/{path.stem}: output kept/{path.name} was changed"]
        path.unlink()
        assert verify(output) == [f"corpus/{path.stem}: output kept/{path.name} is gone"]
    finally:
        path.write_bytes(good)
