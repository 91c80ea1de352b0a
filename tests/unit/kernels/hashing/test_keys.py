"""Keys tell short strings apart, and tables find what was entered."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from kernels.hashing.keys import INLINE, empty_slots, enter, find, key_hash, key_of, refill
from kernels.text.wide import trailing_zeros

items = st.lists(
    st.one_of(st.binary(max_size=40), st.text("ab\0", max_size=20).map(str.encode)), max_size=30
)


def packed(values: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return np.frombuffer(b"".join(values), dtype=np.uint8), ends


@given(items, st.binary(max_size=9))
def test_keys_are_equal_when_the_strings_are(values: list[bytes], behind: bytes) -> None:
    """Whatever lies behind a string in its buffer, and whether there is enough of it."""
    data, ends = packed([*values, behind])
    keys = {}
    for i, value in enumerate(values):
        low, high = key_of(data, ends[i], ends[i + 1])
        assert keys.setdefault((low, high, len(value)), value) == value
    assert len(keys) == len(set(values))


def test_a_string_has_one_key_wherever_it_stands() -> None:
    value = b"sixteen letters!"
    assert len(value) == INLINE
    data, ends = packed([value, b"and more behind it", value])
    assert key_of(data, ends[0], ends[1]) == key_of(data, ends[2], ends[3])


@given(items)
def test_what_was_entered_is_found_and_nothing_else(values: list[bytes]) -> None:
    known = list(dict.fromkeys(values))
    data, ends = packed(known)
    slots = empty_slots(1 << len(known).bit_length())
    for number in range(len(known)):
        found = find(slots, ends, data, data, ends[number], ends[number + 1])
        assert found < 0
        enter(slots, -1 - found, number, data, ends[number], ends[number + 1])
    larger = empty_slots(2 << len(known).bit_length())
    refill(larger, slots)
    for table in (slots, larger):
        for number in range(len(known)):
            assert find(table, ends, data, data, ends[number], ends[number + 1]) == number
        other = np.frombuffer(b"something that is not there at all, and long", dtype=np.uint8)
        assert find(table, ends, data, other, 0, len(other)) < 0


def test_hashes_differ_by_length_alone() -> None:
    assert key_hash(np.uint64(0), np.uint64(0), 1) != key_hash(np.uint64(0), np.uint64(0), 2)


@njit
def _zeros(number: np.uint64) -> int:
    return trailing_zeros(number)


@given(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 63).map(lambda bit: 1 << bit)))
def test_trailing_zeros_are_counted(value: int) -> None:
    assert _zeros(np.uint64(value)) == (64 if value == 0 else (value & -value).bit_length() - 1)
