"""Large files are split and small ones packed, and neither moves what is elsewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.shards import pack, split
from pipeline.sources.source import FilePart, InputFile

files = st.dictionaries(st.text(max_size=6), st.integers(0, 300), max_size=60).map(
    lambda sizes: [FilePart(InputFile(name, name, size)) for name, size in sorted(sizes.items())]
)


@given(size=st.integers(0, 10_000), shard_bytes=st.integers(1, 3_000))
def test_parts_follow_each_other_and_are_the_whole_file(size: int, shard_bytes: int) -> None:
    parts = list(split(InputFile("a", "a", size), shard_bytes))
    assert sum(part.bytes for part in parts) == size
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end is None
    assert all(part.bytes == shard_bytes for part in parts[:-1])
    assert len(parts) == 1 or shard_bytes <= 2 * parts[-1].bytes <= 3 * shard_bytes + 1


def test_a_file_that_grows_keeps_its_parts() -> None:
    before, after = (list(split(InputFile("a", "a", n), 100)) for n in (430, 470))
    assert [part.identity for part in after[:4]] == [
        part.identity for part in [*before[:3], FilePart(before[0].file, 300, 400)]
    ]
    assert [part.identity for part in split(InputFile("a", "a", 449), 100)] == [
        part.identity for part in before
    ]


@given(parts=files, pack_bytes=st.integers(0, 1_000))
def test_packs_hold_all_files_in_order_and_not_too_much(
    parts: list[FilePart], pack_bytes: int
) -> None:
    packs = list(pack(parts, pack_bytes))
    assert [part for packed in packs for part in packed] == parts
    for packed in packs:
        assert len(packed) == 1 or sum(part.bytes for part in packed) <= pack_bytes
    assert pack_bytes or len(packs) == len(parts)


def many(count: int, size: int) -> list[FilePart]:
    return [FilePart(InputFile(n, n, size)) for n in (f"f{i:05}" for i in range(count))]


def test_another_file_moves_only_what_is_beside_it() -> None:
    parts = many(10_000, 1_000)
    before = set(pack(parts, 100_000))
    for place in range(0, 10_000, 997):
        name = f"{parts[place].file.name}-added"
        added = [*parts[: place + 1], FilePart(InputFile(name, name, 700)), *parts[place + 1 :]]
        assert len(set(pack(added, 100_000)) - before) <= 4


def test_packs_are_neither_few_nor_many() -> None:
    packs = list(pack(many(10_000, 1_000), 100_000))
    assert 100 < len(packs) < 400


def test_large_files_and_parts_are_not_packed() -> None:
    small, large = many(3, 10), FilePart(InputFile("z", "z", 5_000))
    half = FilePart(InputFile("y", "y", 50), 0, 25)
    packs = list(pack([*small, half, large], 1_000))
    assert packs[-2:] == [(half,), (large,)]
    assert len(packs) == 3
