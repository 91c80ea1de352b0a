from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.engine import cache as module
from pipeline.engine.cache import NAME, Cache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was read for its digest."""
    seen: list[Path] = []
    real = module.sha256_file

    def counting(path: Path) -> str:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(module, "sha256_file", counting)
    return seen


def test_unchanged_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = Cache(tmp_path)
    assert cache.digest(path) == cache.digest(path)
    cache.save()
    assert Cache(tmp_path).digest(path) == cache.digest(path)
    assert reads == [path]


def test_changed_file_is_read_again_though_its_size_is_the_same(
    tmp_path: Path, reads: list[Path]
) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = Cache()
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
    cache = Cache()
    before = cache.digest(path)
    other.replace(path)
    assert cache.digest(path) != before


def test_remembered_digest_is_trusted(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = Cache()
    cache.remember(path, "abc")
    assert cache.digest(path) == "abc"
    assert reads == []


def test_forgotten_digest_is_found_anew(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    cache = Cache(tmp_path)
    cache.remember(path, "abc")
    cache.save()
    cache.forget([path])
    assert Cache(tmp_path).digest(path) != "abc"


def test_code_is_remembered_apart_from_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text("a = 1\n")
    cache = Cache()
    code, content = cache.code(path), cache.digest(path)
    path.write_text("a = 1  # one\n")
    assert cache.code(path) == code
    assert cache.digest(path) != content


def test_time_is_estimated_by_what_there_is_to_do(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.seconds("trial", 10) is None
    cache.took("trial", 3.0, effort=10)
    cache.save()
    assert Cache(tmp_path).seconds("trial", 20) == 6.0


def test_two_runs_may_note_at_the_same_time(tmp_path: Path) -> None:
    one, two = Cache(tmp_path), Cache(tmp_path)
    one.took("a", 1, 1)
    two.took("b", 2, 1)
    one.save()
    two.save()
    assert [Cache(tmp_path).seconds(name, 1) for name in "ab"] == [1, 2]


def test_notes_that_cannot_be_read_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"SQLite format 3 no more")
    cache = Cache(tmp_path)
    cache.took("a", 1, 1)
    cache.save()
    assert Cache(tmp_path).seconds("a", 1) == 1
