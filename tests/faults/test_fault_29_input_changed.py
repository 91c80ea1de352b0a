"""Fault 29: input that changed after it was frozen fails its shard, and says to plan again."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import freeze, json_lines, packed, string_table

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.source import Shard, SourceFormat

ROWS = json_lines({"text": f"row {n}"} for n in range(9_000))


def changed(fmt: SourceFormat, shard: Shard) -> ShardError:
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "input-changed"
    assert "digest mismatch" in caught.value.message
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
