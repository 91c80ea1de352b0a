"""Plain and compressed files give their bytes whole, or an error; never less in silence."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import packed

from pipeline.errors import ShardError
from pipeline.sources.caps import Caps
from pipeline.sources.decompress import read_chunks
from pipeline.sources.source import InputFile
from pipeline.sources.storage import CHUNK_BYTES, LOCAL

CAPS = Caps(max_bytes=2**30, max_ratio=1000)
SUFFIXES = ["", ".gz", ".zst", ".bz2", ".xz"]


def unpack(path: Path, caps: Caps = CAPS) -> bytes:
    return b"".join(chunks_of(path, caps))


def chunks_of(path: Path, caps: Caps) -> Iterator[bytes]:
    with LOCAL.open(InputFile(str(path), path.name)) as file:
        yield from read_chunks(file, path.name, path.name, caps, path.stat().st_size)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_every_member_is_read_whole(suffix: str, members: list[bytes]) -> None:
    members = [b"x" + member for member in members]  # so that no magic number begins the file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl" + suffix)
        path.write_bytes(b"".join(packed(member, suffix) for member in members))
        assert unpack(path) == b"".join(members)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pieces_are_bounded(tmp_path: Path, suffix: str) -> None:
    data = bytes(range(32, 96)) * (CHUNK_BYTES // 16)
    path = tmp_path / ("rows.jsonl" + suffix)
    path.write_bytes(packed(data, suffix))
    sizes = [len(chunk) for chunk in chunks_of(path, CAPS)]
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) == len(data)


def test_skippable_zstd_frames_are_skipped(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(skippable + packed(b"one\n", ".zst") + skippable)
    assert unpack(path) == b"one\n"


@pytest.mark.parametrize(
    ("name", "head", "kind", "hint"),
    [
        ("rows.jsonl", b"BZh91AY&SY", "bzip2", "rename"),
        ("rows.gz", packed(b"one", ".zst"), "zstd", "rename"),
        ("rows.zip", b"PK\x03\x04", "zip", "unpack"),
        ("rows.arrow", b"ARROW1\0\0", "Arrow", "Parquet"),
        ("rows.jsonl", b"ARROW1\0\0", "Arrow", "Parquet"),
        ("rows.jsonl", b"\xff\xff\xff\xff\x10\0", "Arrow", "Parquet"),  # a stream
        ("rows.feather", b"FEA1", "Arrow", "Parquet"),
        ("rows.jsonl", b"PAR1", "Parquet", "format: parquet"),
        ("rows.jsonl", "﻿{}".encode("utf-16-le"), "UTF-16", "UTF-8"),
    ],
)
def test_kinds_that_cannot_be_read_are_named(
    tmp_path: Path, name: str, head: bytes, kind: str, hint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(head)
    with pytest.raises(ShardError, match=kind) as caught:
        unpack(path)
    assert caught.value.code == "wrong-format"
    assert hint in caught.value.hint


@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
@given(cut=st.integers(1, 60), junk=st.binary(min_size=1, max_size=20))
def test_a_cut_or_continued_stream_is_damaged(suffix: str, cut: int, junk: bytes) -> None:
    whole = packed(b"one\n" * 100, suffix) * 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl" + suffix)
        # A cut exactly between the two streams cannot be seen here.
        for damaged in (whole[: len(whole) // 2 + cut % (len(whole) // 2 - 1) + 1], whole + junk):
            if damaged == whole or (suffix == ".xz" and not junk.strip(b"\0")):
                continue
            path.write_bytes(damaged)
            with pytest.raises(ShardError) as caught:
                unpack(path)
            assert caught.value.code == "corrupt-compression"


def test_xz_streams_may_be_padded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.xz"
    path.write_bytes((packed(b"one\n", ".xz") + bytes(8)) * 2)
    assert unpack(path) == b"one\none\n"


def test_small_files_may_be_as_repetitive_as_they_like(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(packed(bytes(2**20), ".gz"))
    assert unpack(path, Caps(max_bytes=2**20, max_ratio=1)) == bytes(2**20)
