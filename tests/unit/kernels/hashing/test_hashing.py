from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.hashing.hashing import xxh64_rows

SEEDS = st.one_of(st.just(0), st.just(2**64 - 1), st.integers(0, 2**64 - 1))


def ends_of(rows: list[bytes], before: int = 0) -> np.ndarray:
    return before + np.cumsum([0, *map(len, rows)])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8), SEEDS, st.binary(max_size=9))
def test_equals_the_reference_wherever_the_rows_lie(
    rows: list[bytes], seed: int, before: bytes
) -> None:
    data = np.frombuffer(before + b"".join(rows) + b"behind", np.uint8)
    hashes = xxh64_rows(data, ends_of(rows, len(before)), seed)
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [xxhash.xxh64_intdigest(row, seed) for row in rows]


def test_equals_the_reference_for_every_length() -> None:
    data = np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8)
    for length in range(300):
        for start in (0, 1, 7):
            row = data[start : start + length].tobytes()
            found = xxh64_rows(data, np.array([start, start + length]), 17)
            assert found.tolist() == [xxhash.xxh64_intdigest(row, 17)], length


def test_a_vector_of_the_minhash_recipe() -> None:
    text = b"one two three four five"
    found = xxh64_rows(np.frombuffer(text, np.uint8), np.array([0, len(text)]))
    assert found.tolist() == [16779001585721188446]


def test_no_rows() -> None:
    assert xxh64_rows(np.empty(0, np.uint8), np.zeros(1, np.int64)).tolist() == []
    assert xxh64_rows(np.empty(0, np.uint8), np.zeros(2, np.int64)).tolist() == [
        xxhash.xxh64_intdigest(b"")
    ]


@pytest.mark.parametrize("offsets", [[0, 5], [-1, 3], [3, 1], [0, 4, 2, 3]])
def test_rows_outside_the_data_are_refused(offsets: list[int]) -> None:
    with pytest.raises(IndexError, match="4 bytes"):
        xxh64_rows(np.zeros(4, np.uint8), np.array(offsets))
