"""Masks, hashes and comparisons of many bytes are what a loop over single bytes gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from kernels.text.wide import (
    bit_count,
    hash_range,
    load64,
    lowest_bit,
    prefer_wide_vectors,
    range_mask,
    same_range,
    store64,
)


@njit
def mask(data: np.ndarray, at: int, end: int, low: int, high: int) -> np.uint64:
    return range_mask(data, at, end, low, high)


@njit
def hashed(data: np.ndarray, start: int, end: int) -> np.uint64:
    return hash_range(data, start, end)


@njit
def same(data: np.ndarray, left: int, right: int, size: int) -> bool:
    return same_range(data, left, right, size)


@njit
def bits(value: np.uint64) -> tuple[int, int]:
    return bit_count(value), lowest_bit(value)


@njit
def moved(data: np.ndarray, start: int, to: int) -> np.uint64:
    store64(data, to, load64(data, start))
    return load64(data, to)


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


@settings(deadline=None)
@given(st.binary(max_size=200), st.data())
def test_a_mask_has_the_bits_of_bytes_within_the_range(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(at, len(data)))
    low, high = sorted(draw.draw(st.tuples(st.integers(0, 255), st.integers(0, 255))))
    expected = sum(1 << i for i, byte in enumerate(data[at:end][:64]) if low <= byte <= high)
    assert mask(array(data), at, end, low, high) == expected


@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_a_mask_from_beyond_the_end_is_empty(beyond: int) -> None:
    data = array(b"." * 200)
    assert mask(data, 50 + beyond, 50, 0, 255) == 0
    assert mask(data, 200 + beyond, 200, 0, 255) == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"a", b"b", b"abcdefgh"]), max_size=12).map(b"".join), st.data())
def test_equal_ranges_are_found_equal_and_hash_alike(data: bytes, draw: st.DataObject) -> None:
    size = draw.draw(st.integers(0, len(data)))
    left = draw.draw(st.integers(0, len(data) - size))
    right = draw.draw(st.integers(0, len(data) - size))
    equal = data[left : left + size] == data[right : right + size]
    assert same(array(data), left, right, size) == equal
    # Unequal ones of so few would only meet if the hash ignored some of the bytes.
    hashes = [hashed(array(data), at, at + size) for at in (left, right)]
    assert (hashes[0] == hashes[1]) == equal


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 40])
def test_every_byte_and_the_length_change_the_hash(size: int) -> None:
    seen = {
        int(hashed(array(bytes(size)), 0, size)),
        int(hashed(array(bytes(size + 1)), 0, size + 1)),
    }
    for i in range(size):
        seen.add(int(hashed(array(bytes(i) + b"x" + bytes(size - i - 1)), 0, size)))
    assert len(seen) == size + 2


@settings(deadline=None)
@given(st.integers(1, 2**64 - 1))
def test_bits_are_counted(value: int) -> None:
    lowest = (value & -value).bit_length() - 1
    assert bits(np.uint64(value)) == (value.bit_count(), lowest)


def test_no_bit_is_beyond_the_last() -> None:
    assert bits(np.uint64(0)) == (0, 64)


def test_words_are_little_endian_and_may_lie_anywhere() -> None:
    data = np.arange(32, dtype=np.uint8)
    assert moved(data, 3, 13) == int.from_bytes(bytes(range(3, 11)), "little")
    assert data.tolist() == [*range(13), *range(3, 11), *range(21, 32)]


def test_wider_vectors_change_no_result() -> None:
    @njit
    def summed(values: np.ndarray) -> np.uint64:
        prefer_wide_vectors()
        total = np.uint64(0)
        for value in values:
            total += value * value
        return total

    values = np.arange(1_000, dtype=np.uint64)
    assert summed(values) == sum(i * i for i in range(1_000))
    llvm = "".join(summed.inspect_llvm().values())
    assert '"prefer-vector-width"="512"' in llvm
