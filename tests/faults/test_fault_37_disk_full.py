"""Fault 37: a full disk fails the shard, leaves nothing behind, and is foreseen where possible."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import need
from small_runs import MANIFEST, small_project, winnow, write_lines


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    need("root", os.geteuid() == 0)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def noise(number: int) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return ["".join(random.Random(n).choices(letters, k=1000)) for n in range(number)]


def test_full_disk_fails_the_shard_and_leaves_no_temporary_file(
    tmp_path: Path, small_disk: Path
) -> None:
    # Three stages write the text, which hardly compresses: more than was foreseen, and too much.
    edit = "  - regex: {regex_exp: qqqqqq, replacement: q}\n"
    steps = f"{edit}  - minhash_dedup\n{edit}"
    path = small_project(tmp_path, MANIFEST.replace("b*.jsonl", "b*.gz") + steps)
    write_lines(tmp_path / "b1.jsonl", noise(1800))
    (tmp_path / "b1.gz").write_bytes(gzip.compress((tmp_path / "b1.jsonl").read_bytes()))
    done = winnow("run", path, "--output", small_disk / "out")
    assert done.returncode == 1, done.stderr
    assert "disk-full" in done.stderr
    assert "MB are free" in done.stderr
    assert not list(small_disk.glob(".store/tmp/*/*"))
    assert not list(small_disk.rglob("*.tmp"))
    write_lines(tmp_path / "b1.jsonl", noise(100))
    (tmp_path / "b1.gz").write_bytes(gzip.compress((tmp_path / "b1.jsonl").read_bytes()))
    shutil.rmtree(small_disk / ".store")
    assert winnow("run", path, "--output", small_disk / "out").returncode == 0


def test_run_that_cannot_fit_is_refused(tmp_path: Path, small_disk: Path) -> None:
    path = small_project(tmp_path)
    write_lines(tmp_path / "b1.jsonl", noise(5000))
    done = winnow("run", path, "--output", small_disk / "out")
    assert done.returncode == 2
    assert "disk-too-small" in done.stderr
    assert not (small_disk / ".store" / "tasks").exists()
