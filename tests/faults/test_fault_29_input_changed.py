"""Fault 29: input that changed after it was frozen fails its shard, and says to plan again."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import freeze, indexed, json_lines, packed, string_table

from pipeline.engine.cache import Cache
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.source import Shard, SourceFormat

ROWS = json_lines({"text": f"row {n}"} for n in range(9_000))


def changed(fmt: SourceFormat, shard: Shard) -> ShardError:
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "input-changed"
    assert "version mismatch" in caught.value.message
    assert "plan" in caught.value.hint
    return caught.value


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("new", [ROWS[:-1] + b" ", ROWS + ROWS, b"", ROWS.replace(b"7", b"8")])
def test_json_lines(tmp_path: Path, suffix: str, new: bytes) -> None:
    path = tmp_path / ("a.jsonl" + suffix)
    path.write_bytes(packed(ROWS, suffix))
    fmt = JsonLines(paths=path.name, allow_empty=True)
    [shard] = freeze(fmt, tmp_path)
    path.write_bytes(packed(new, suffix))
    assert path.name in changed(fmt, shard).message


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_cut_between_members_or_anywhere(tmp_path: Path, suffix: str) -> None:
    path, member = tmp_path / ("a.jsonl" + suffix), packed(ROWS, suffix)
    path.write_bytes(member * 2)
    fmt = JsonLines(paths=path.name, allow_empty=True)
    [shard] = freeze(fmt, tmp_path)
    for size in (0, 100, len(member), len(member) + 100):
        path.write_bytes((member * 2)[:size])
        changed(fmt, shard)


def test_a_change_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ROWS * 20)
    fmt = JsonLines(paths="a.jsonl")
    [shard] = freeze(fmt, tmp_path)
    reads = fmt.read(shard)
    next(reads)
    with path.open("ab") as file:
        file.write(ROWS)
    with pytest.raises(ShardError) as caught:
        list(reads)
    assert caught.value.code == "input-changed"


@pytest.mark.parametrize("shard_bytes", [10**9, 60_000])
def test_a_change_that_leaves_size_and_time_is_seen_by_the_digest_of_before(
    tmp_path: Path, shard_bytes: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ROWS)
    fmt = JsonLines(paths="a.jsonl", shard_bytes=shard_bytes)
    cache = Cache()
    for shard in map(indexed(fmt), freeze(fmt, tmp_path)):
        cache.saw(shard, inputs_of(fmt, shard))
    found = path.stat()
    path.write_bytes(ROWS.replace(b"8", b"7"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    for shard in map(cache.seen, map(indexed(fmt), freeze(fmt, tmp_path))):
        with pytest.raises(ShardError, match="digest mismatch") as caught:
            list(fmt.read(shard))
        assert caught.value.code == "input-changed"


def inputs_of(fmt: SourceFormat, shard: Shard) -> dict[str, str]:
    return {label: sha256 for read in fmt.read(shard) for label, sha256 in read.inputs.items()}


def test_the_digest_is_of_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROWS)
    pq.write_table(string_table([b"a"] * 90), tmp_path / "a.parquet")
    for fmt in (JsonLines(paths="a.jsonl"), ParquetFiles(paths="a.parquet")):
        [shard] = freeze(fmt, tmp_path)
        [name] = shard.names
        assert inputs_of(fmt, shard) == {name: sha256_file(tmp_path / name)}


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(string_table([b"a"] * 9_000), path)
    fmt = ParquetFiles(paths="a.parquet", allow_empty=True)
    [shard] = freeze(fmt, tmp_path)
    pq.write_table(string_table([b"b"] * 9_000), path)
    changed(fmt, shard)
    path.write_bytes(path.read_bytes()[:-100])
    changed(fmt, shard)
    path.write_bytes(b"")
    changed(fmt, shard)
