"""A file that is read in parts gives the rows, places and ids that it gives as a whole."""

from __future__ import annotations

import gzip
import random
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Rows, freeze, indexed, json_lines, packed, read_all, rows_of

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines

lines = st.lists(
    st.text(max_size=30).map(lambda text: json_lines([{"text": text}]))
    | st.sampled_from([b"\n", b" \n", b"no json\n", b'{"text": 1}\n', b'{"text": "a"}\r\n']),
    max_size=30,
).map(b"".join)


def read(data: bytes, name: str, **settings: Any) -> tuple[Rows, Rows]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(data)
        return read_all(JsonLines(paths="*", allow_empty=True, **settings), Path(folder))


@given(
    data=lines, last=st.sampled_from([b"", b'{"text": "no line feed"}']), size=st.integers(1, 90)
)
def test_plain(data: bytes, last: bytes, size: int) -> None:
    assert read(data + last, "a.jsonl", shard_bytes=size) == read(data + last, "a.jsonl")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@given(data=lines, cuts=st.lists(st.integers(0, 600), max_size=8), size=st.integers(1, 90))
def test_members_that_end_anywhere(suffix: str, data: bytes, cuts: list[int], size: int) -> None:
    places = [0, *sorted(cuts), len(data)]
    members = [packed(data[a:b], suffix) for a, b in pairwise(places)]
    whole = b"".join(members)
    assert read(whole, f"a.jsonl{suffix}", shard_bytes=size) == read(whole, f"a.jsonl{suffix}")


def parts_of(folder: Path, fmt: JsonLines) -> list[int | str]:
    """How many rows each shard has, or the error that it fails with."""
    found: list[int | str] = []
    for shard in map(indexed(fmt), freeze(fmt, folder)):
        try:
            documents, quarantined = rows_of(fmt.read(shard))
            found.append(len(documents) + len(quarantined))
        except ShardError as error:
            found.append(error.code)
    return found


def noise(rows: int, seed: int = 0) -> bytes:
    draw = random.Random(seed)
    return json_lines({"text": draw.randbytes(40).hex()} for _ in range(rows))


def test_every_shard_has_its_share(tmp_path: Path) -> None:
    data = noise(1_000)
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl.gz").write_bytes(b"".join(packed(noise(50, n), ".gz") for n in range(20)))
    (tmp_path / "c.jsonl.zst").write_bytes(
        b"".join(packed(noise(50, n), ".zst") for n in range(20))
    )
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"):
        size = (tmp_path / name).stat().st_size
        found = parts_of(tmp_path, JsonLines(paths=name, shard_bytes=size // 4))
        assert sum(found) == 1_000  # type: ignore[arg-type]
        assert len(found) == 4
        assert all(150 <= count <= 350 for count in found if isinstance(count, int))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_single_member_is_read_by_one_shard(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(packed(noise(500), suffix))
    assert parts_of(tmp_path, JsonLines(paths="*", shard_bytes=10_000))[:2] == [500, 0]


def test_bytes_that_only_look_like_the_beginning_of_a_member(tmp_path: Path) -> None:
    """Text that holds gzip files, in members that store it as it is."""
    inner = gzip.compress(b"inner" * 10, mtime=0) * 30
    stored = gzip.compress(inner, compresslevel=0, mtime=0)
    data = (stored + b"".join(packed(b"\n" + noise(10, n), ".gz") for n in range(20))) * 2
    (tmp_path / "a.gz").write_bytes(data)
    for size in (700, 2_000, 9_000):
        assert read(data, "a.gz", shard_bytes=size, max_bad=1) == read(data, "a.gz", max_bad=1)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damage_fails_the_shard_that_reaches_it_and_no_row_is_lost_in_silence(
    tmp_path: Path, suffix: str
) -> None:
    members = [packed(noise(50, n), suffix) for n in range(12)]
    data = bytearray(b"".join(members))
    place = sum(map(len, members[:6])) + len(members[6]) // 2
    data[place : place + 40] = bytes(40)
    (tmp_path / f"a{suffix}").write_bytes(data)
    found = parts_of(tmp_path, JsonLines(paths="*", shard_bytes=2 * len(members[0])))
    failed = [n for n, count in enumerate(found) if isinstance(count, str)]
    assert [found[n] for n in failed] == ["corrupt-compression"]
    # What comes before it is whole, and what follows belongs to the shard that failed.
    assert sum(found[: failed[0]]) in range(100, 301)  # type: ignore[arg-type]
    assert not any(found[failed[0] + 1 :])


def test_one_line_over_several_parts_is_read_once(tmp_path: Path) -> None:
    data = json_lines([{"text": "a"}, {"text": "b" * 5_000}, {"text": "c"}])
    (tmp_path / "a.jsonl").write_bytes(data)
    found = parts_of(tmp_path, JsonLines(paths="*", shard_bytes=1_000))
    assert found == [2, 0, 0, 0, 1]


def test_a_file_that_changes_fails_its_index(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(noise(50))
    fmt = JsonLines(paths="*", shard_bytes=500)
    first, *_ = freeze(fmt, tmp_path)
    (tmp_path / "a.jsonl").write_bytes(noise(51))
    with pytest.raises(ShardError) as caught:
        fmt.index(first.parts[0].file, [0, 500])
    assert caught.value.code == "input-changed"
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(ShardError) as caught:
        fmt.index(first.parts[0].file, [0, 500])
    assert caught.value.code == "unreadable"
