"""Hashes in lanes are those of the reference implementation, for any length and order."""

from __future__ import annotations

import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.hashing.short_hashes import PADDING, xxh64_ranges


def hashed(data: bytes, ranges: list[tuple[int, int]]) -> list[int]:
    padded = np.frombuffer(data + b"\xff" * PADDING, dtype=np.uint8)
    begins = np.array([begin for begin, _ in ranges], dtype=np.int64)
    ends = np.array([end for _, end in ranges], dtype=np.int64)
    out = np.zeros(len(ranges), dtype=np.uint64)
    xxh64_ranges(padded, begins, ends, out)
    return [int(value) for value in out]


def expected(data: bytes, ranges: list[tuple[int, int]]) -> list[int]:
    return [xxhash.xxh64_intdigest(data[begin:end]) for begin, end in ranges]


def test_every_length_from_nothing_to_three_stripes() -> None:
    data = bytes(i * 37 % 256 for i in range(200))
    ranges = [(start, start + size) for size in range(100) for start in (0, 1, 100)]
    assert hashed(data, ranges) == expected(data, ranges)


def test_a_block_of_one_kind_and_blocks_that_are_not_full() -> None:
    data = bytes(range(256)) * 2
    for count in (0, 1, 7, 255, 256, 257, 600):
        for size in (5, 31, 32, 63, 64):
            ranges = [(i % 256, i % 256 + size) for i in range(count)]
            assert hashed(data, ranges) == expected(data, ranges)


@settings(deadline=None)
@given(st.binary(max_size=150), st.data())
def test_any_ranges_of_any_bytes(data: bytes, draw: st.DataObject) -> None:
    at = st.integers(0, len(data))
    ranges = [tuple(sorted(pair)) for pair in draw.draw(st.lists(st.tuples(at, at), max_size=40))]
    assert hashed(data, ranges) == expected(data, ranges)


def test_what_follows_a_range_does_not_matter() -> None:
    data = b"one two three four five"
    for size in range(len(data) + 1):
        other = data[:size] + b"~" * (len(data) - size)
        assert hashed(data, [(0, size)]) == hashed(other, [(0, size)])
