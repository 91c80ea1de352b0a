"""Plain, gzip and zstd files give their bytes whole, or an error; never less in silence."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import packed

from pipeline.errors import ShardError
from pipeline.sources.decompress import CHUNK_BYTES, Caps, Returning, read_chunks

CAPS = Caps(max_bytes=2**30, max_ratio=1000)
SUFFIXES = ["", ".gz", ".zst"]


def unpack(path: Path, caps: Caps = CAPS) -> bytes:
    return b"".join(read_chunks(path, path.name, caps))


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_every_member_is_read_whole(suffix: str, members: list[bytes]) -> None:
    members = [b"x" + member for member in members]  # so that no magic number begins the file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl" + suffix)
        path.write_bytes(b"".join(packed(member, suffix) for member in members))
        assert unpack(path) == b"".join(members)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pieces_are_bounded_and_the_digest_is_that_of_the_file(tmp_path: Path, suffix: str) -> None:
    data = bytes(range(32, 96)) * (CHUNK_BYTES // 16)
    path = tmp_path / ("rows.jsonl" + suffix)
    path.write_bytes(packed(data, suffix))
    chunks = Returning(read_chunks(path, path.name, CAPS))
    sizes = [len(chunk) for chunk in chunks]
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) == len(data)
    assert chunks.value == hashlib.sha256(path.read_bytes()).hexdigest()


def test_skippable_zstd_frames_are_skipped(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(skippable + packed(b"one\n", ".zst") + skippable)
    assert unpack(path) == b"one\n"


@pytest.mark.parametrize(
    ("name", "kind"), [("rows.jsonl.bz2", "bzip2"), ("rows.jsonl", "bzip2"), ("rows.gz", "zstd")]
)
def test_kinds_that_cannot_be_read_are_named(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"BZh91AY&SY" if kind == "bzip2" else packed(b"one", ".zst"))
    with pytest.raises(ShardError, match=kind) as caught:
        unpack(path)
    assert caught.value.code == "wrong-format"


def test_small_files_may_be_as_repetitive_as_they_like(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(packed(bytes(2**20), ".gz"))
    assert unpack(path, Caps(max_bytes=2**20, max_ratio=1)) == bytes(2**20)
