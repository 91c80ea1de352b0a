"""Fault 20: a damaged Parquet file fails its own shard; the others are frozen and read."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import freeze, rows_of, string_table

from pipeline.errors import ShardError
from pipeline.sources.parquet_files import ParquetFiles

FMT = ParquetFiles(paths="*.parquet", pack_bytes=0)


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    for name in ("a", "b"):
        table = string_table([b"row %d" % n for n in range(50)], n=list(range(50)))
        pq.write_table(table, tmp_path / f"{name}.parquet", write_page_checksum=True)
    return (tmp_path / "a.parquet").read_bytes()


def read_both(folder: Path) -> None:
    """The damaged one fails, the other is whole."""
    damaged, other = freeze(FMT, folder)
    with pytest.raises(ShardError, match=r"a\.parquet") as caught:
        list(FMT.read(damaged))
    assert caught.value.code in ("corrupt-parquet", "wrong-format", "decompression-bomb")
    assert len(rows_of(FMT.read(other))[0]) == 50


def test_a_cut_anywhere_fails_that_shard(tmp_path: Path, good: bytes) -> None:
    for size in range(1, len(good), 97):
        (tmp_path / "a.parquet").write_bytes(good[:size])
        read_both(tmp_path)


def test_flipped_bytes_in_the_pages_fail_that_shard(tmp_path: Path, good: bytes) -> None:
    page = good.index(b"row 0")
    for place in range(page, page + 40, 3):
        bad = bytearray(good)
        bad[place] ^= 0x10
        (tmp_path / "a.parquet").write_bytes(bad)
        read_both(tmp_path)


def test_a_footer_of_noise_fails_that_shard(tmp_path: Path, good: bytes) -> None:
    length = int.from_bytes(good[-8:-4], "little")
    junk = random.Random(7).randbytes(length)
    (tmp_path / "a.parquet").write_bytes(good[: -8 - length] + junk + good[-8:])
    read_both(tmp_path)


def test_a_column_name_that_is_no_text_fails_that_shard(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(good.replace(b"text", b"te\xbdt"))
    read_both(tmp_path)
