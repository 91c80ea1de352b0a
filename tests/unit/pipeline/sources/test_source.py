from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.sources import source
from pipeline.sources.source import DigestCache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was read for its digest."""
    seen: list[Path] = []
    real = source.sha256_file

    def counting(path: Path) -> str:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(source, "sha256_file", counting)
    return seen


def test_unchanged_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = DigestCache()
    assert cache.digest(path) == cache.digest(path)
    assert DigestCache(cache.known).digest(path) == cache.digest(path)
    assert reads == [path]


def test_changed_file_is_read_again_though_its_size_is_the_same(
    tmp_path: Path, reads: list[Path]
) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = DigestCache()
    before = cache.digest(path)
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert cache.digest(path) != before
    assert len(reads) == 2


def test_replaced_file_is_read_again_though_its_time_is_the_same(tmp_path: Path) -> None:
    path, other = tmp_path / "f", tmp_path / "g"
    path.write_text("one")
    other.write_text("two")
    for file in (path, other):
        os.utime(file, ns=(1, 1))
    cache = DigestCache()
    before = cache.digest(path)
    other.replace(path)
    assert cache.digest(path) != before


def test_remembered_digest_is_trusted(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = DigestCache()
    cache.remember(path, "abc")
    assert cache.digest(path) == "abc"
    assert reads == []
