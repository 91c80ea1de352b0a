"""Fault 38: an output that cannot be written is refused before any work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import need
from small_runs import small_project, winnow


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a read-only file system: root may write anywhere else."""
    need("root", os.geteuid() == 0)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_read_only_output_is_refused(tmp_path: Path, read_only: Path) -> None:
    done = winnow("run", small_project(tmp_path), "--output", read_only / "out")
    assert done.returncode == 2
    assert "output-not-writable" in done.stderr
    assert "--output" in done.stderr


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = winnow("run", small_project(tmp_path), "--output", tmp_path / "taken")
    assert done.returncode == 2
    assert "output-not-writable" in done.stderr
