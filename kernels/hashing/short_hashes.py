"""xxHash64 of many short byte ranges, eight or so at a time in the lanes of vectors.

The numbers are those of kernels/hashing/hashing.py. Ranges of under 32 bytes, and of under 64, go
through the same steps whatever their length, each step kept only where the range is long enough
for it.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from kernels.hashing.hashing import (
    _P1,
    _P2,
    _P3,
    _P4,
    _P5,
    Hashes,
    _merge,
    _rotate,
    _round,
    xxh64,
)
from kernels.text.utf8 import Bytes, Offsets
from kernels.text.wide import load64, prefer_wide_vectors

PADDING = 32  # bytes that must follow the last range
_BLOCK = 256  # ranges staged together: 18 KB
_STRIPE = 32

# Rows of what is staged: the words of the first stripe, if any; those of the rest, as if it had
# three; its last incomplete word; and its length.
_FIRST, _REST, _TAIL, _SIZE, _ROWS = 0, 4, 7, 8, 9


@numba.njit(cache=True, nogil=True)
def xxh64_ranges(data: Bytes, begins: Offsets, ends: Offsets, out: Hashes) -> None:
    """Writes the xxHash64 (seed 0) of each ``data[begins[i]:ends[i]]`` to ``out[i]``.

    ``data`` must go on for PADDING bytes after the last one; ranges are not checked.
    """
    staged = np.empty((_ROWS, _BLOCK), np.uint64)
    states = np.empty(_BLOCK, np.uint64)
    short, long = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    for first in range(0, len(out), _BLOCK):
        shorts = longs = 0
        for i in range(first, min(first + _BLOCK, len(out))):
            size = ends[i] - begins[i]
            short[shorts], long[longs] = i, i
            shorts += size < _STRIPE
            longs += (size >= _STRIPE) & (size < 2 * _STRIPE)
            if size >= 2 * _STRIPE:
                out[i] = xxh64(data, begins[i], ends[i], np.uint64(0))
        _hash_block(data, begins, ends, short[:shorts], 0, staged, states, out)
        _hash_block(data, begins, ends, long[:longs], _STRIPE, staged, states, out)


@numba.njit(cache=True, nogil=True)
def _hash_block(
    data: Bytes,
    begins: Offsets,
    ends: Offsets,
    which: npt.NDArray[np.int64],
    stripe: int,
    staged: Hashes,
    states: Hashes,
    out: Hashes,
) -> None:
    for j in range(len(which)):
        at = begins[which[j]]
        if stripe:
            for k in range(4):
                staged[_FIRST + k, j] = load64(data, at + 8 * k)
            at += stripe
        size = ends[which[j]] - at
        for k in range(3):
            staged[_REST + k, j] = load64(data, at + 8 * k)
        staged[_TAIL, j] = load64(data, at + (size & ~7))
        staged[_SIZE, j] = np.uint64(size)
    if stripe:
        _begin_with_stripe(staged, states, len(which))
    else:
        for j in range(len(which)):
            states[j] = _P5 + staged[_SIZE, j]
    _finish(staged, states, len(which))
    for j in range(len(which)):
        out[which[j]] = states[j]


@numba.njit(cache=True, nogil=True)
def _begin_with_stripe(staged: Hashes, states: Hashes, count: int) -> None:
    prefer_wide_vectors()
    first, second = staged[_FIRST], staged[_FIRST + 1]
    third, fourth, sizes = staged[_FIRST + 2], staged[_FIRST + 3], staged[_SIZE]
    for j in range(count):
        one, two = _round(_P1 + _P2, first[j]), _round(_P2, second[j])
        three, four = _round(np.uint64(0), third[j]), _round(np.uint64(0) - _P1, fourth[j])
        state = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
        state = _merge(_merge(_merge(_merge(state, one), two), three), four)
        states[j] = state + sizes[j] + np.uint64(_STRIPE)


@numba.njit(cache=True, nogil=True)
def _finish(staged: Hashes, states: Hashes, count: int) -> None:
    prefer_wide_vectors()
    first, second, third = staged[_REST], staged[_REST + 1], staged[_REST + 2]
    tails, sizes = staged[_TAIL], staged[_SIZE]
    for j in range(count):
        state, size, tail = states[j], sizes[j], tails[j]
        state = _word_step(state, first[j]) if size >= np.uint64(8) else state
        state = _word_step(state, second[j]) if size >= np.uint64(16) else state
        state = _word_step(state, third[j]) if size >= np.uint64(24) else state
        half = tail & np.uint64(0xFFFFFFFF)
        mixed = _rotate(state ^ (half * _P1), 23) * _P2 + _P3
        state = mixed if size & np.uint64(4) else state
        tail = tail >> np.uint64(32) if size & np.uint64(4) else tail
        left = size & np.uint64(3)
        state = _byte_step(state, tail) if left >= np.uint64(1) else state
        state = _byte_step(state, tail >> np.uint64(8)) if left >= np.uint64(2) else state
        state = _byte_step(state, tail >> np.uint64(16)) if left >= np.uint64(3) else state
        state = (state ^ (state >> np.uint64(33))) * _P2
        state = (state ^ (state >> np.uint64(29))) * _P3
        states[j] = state ^ (state >> np.uint64(32))


@numba.njit(cache=True, inline="always")
def _word_step(state: np.uint64, word: np.uint64) -> np.uint64:
    return np.uint64(_rotate(state ^ _round(np.uint64(0), word), 27) * _P1 + _P4)


@numba.njit(cache=True, inline="always")
def _byte_step(state: np.uint64, byte: np.uint64) -> np.uint64:
    return np.uint64(_rotate(state ^ ((byte & np.uint64(0xFF)) * _P5), 11) * _P1)
