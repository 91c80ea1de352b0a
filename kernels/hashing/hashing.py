"""xxHash64 over byte ranges, compiled.

Gives the same numbers as the reference implementation (xxHash specification, version 0.1.1), so
hashes computed here and by any other program compare equal.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from kernels.text.utf8 import Bytes, Offsets
from kernels.text.wide import AT, BYTES, load32, load64

Hashes = npt.NDArray[np.uint64]

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)


@numba.njit(cache=True, inline="always")
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return np.uint64((value << np.uint64(bits)) | (value >> np.uint64(64 - bits)))


@numba.njit(cache=True, inline="always")
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return np.uint64(_rotate(lane + word * _P2, 31) * _P1)


@numba.njit(cache=True, inline="always")
def _merge(state: np.uint64, lane: np.uint64) -> np.uint64:
    return np.uint64((state ^ _round(np.uint64(0), lane)) * _P1 + _P4)


@numba.njit(numba.uint64(BYTES, AT, AT, numba.uint64), cache=True, nogil=True)
def xxh64(data: Bytes, start: int, stop: int, seed: np.uint64) -> np.uint64:
    """xxHash64 of ``data[start:stop]``; for use in other kernels. The range is not checked."""
    at = np.int64(start)
    if stop - start >= 32:
        one, two = seed + _P1 + _P2, seed + _P2
        three, four = seed, seed - _P1
        while at + 32 <= stop:
            one = _round(one, load64(data, at))
            two = _round(two, load64(data, at + 8))
            three = _round(three, load64(data, at + 16))
            four = _round(four, load64(data, at + 24))
            at += 32
        state = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
        state = _merge(_merge(_merge(_merge(state, one), two), three), four)
    else:
        state = seed + _P5
    state += np.uint64(stop - start)
    while at + 8 <= stop:
        state = _rotate(state ^ _round(np.uint64(0), load64(data, at)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= stop:
        state = _rotate(state ^ (load32(data, at) * _P1), 23) * _P2 + _P3
        at += 4
    while at < stop:
        state = _rotate(state ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += 1
    state = (state ^ (state >> np.uint64(33))) * _P2
    state = (state ^ (state >> np.uint64(29))) * _P3
    return np.uint64(state ^ (state >> np.uint64(32)))


@numba.njit(cache=True, nogil=True)
def _xxh64_rows(data: Bytes, offsets: Offsets, seed: np.uint64, out: Hashes) -> None:
    for row in range(len(out)):
        out[row] = xxh64(data, offsets[row], offsets[row + 1], seed)


def xxh64_rows(data: Bytes, offsets: Offsets, seed: int = 0) -> Hashes:
    """xxHash64 [rows] of ``data[offsets[i]:offsets[i + 1]]``; IndexError when out of ``data``."""
    if len(offsets) > 1 and (
        offsets[0] < 0 or offsets[-1] > len(data) or np.any(np.diff(offsets) < 0)
    ):
        raise IndexError(f"offsets {offsets[0]}..{offsets[-1]} leave the {len(data)} bytes")
    out = np.empty(max(len(offsets) - 1, 0), np.uint64)
    _xxh64_rows(data, offsets, np.uint64(seed), out)
    return out
