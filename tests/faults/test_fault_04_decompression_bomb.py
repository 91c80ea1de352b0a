"""Fault 4: a file that expands too far fails at the ratio cap and at the byte cap."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, packed, read_all

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines

BLANKS = b" " * 2**20
EXPANDED = 80 * 2**20


@pytest.fixture(params=[".gz", ".zst", ".bz2", ".xz"])
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """80 MiB of blanks in a few kilobytes, in 80 members, so that reading must go on."""
    path = tmp_path / ("bomb.jsonl" + request.param)
    path.write_bytes(packed(BLANKS, request.param) * (EXPANDED // len(BLANKS)))
    return path


def fail(path: Path, **caps: float) -> ShardError:
    fmt = JsonLines.model_validate({"paths": path.name, **caps})
    [shard] = freeze(fmt, path.parent)
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    return caught.value


def test_the_ratio_cap(bomb: Path) -> None:
    error = fail(bomb)
    assert error.code == "decompression-bomb"
    assert "max_ratio: 200" in error.message
    assert bomb.name in error.message


def test_the_byte_cap(bomb: Path) -> None:
    error = fail(bomb, max_bytes=2**20, max_ratio=1e9)
    assert error.code == "decompression-bomb"
    assert "max_bytes: 1048576" in error.message


def test_within_the_caps_it_is_an_ordinary_file(bomb: Path) -> None:
    fmt = JsonLines(paths=bomb.name, max_ratio=1e9, max_bytes=EXPANDED, allow_empty=True)
    documents, _ = read_all(fmt, bomb.parent)
    assert documents == []
