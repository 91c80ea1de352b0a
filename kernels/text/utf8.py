"""UTF-8 text in Arrow buffers: its characters, white space and line breaks, as Python sees them.

Every function takes ``data`` (uint8, the UTF-8 bytes) and byte positions in it, and trusts that
the bytes are valid UTF-8, as Arrow string arrays are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

NEWLINE = 0x0A
SPACE = 0x20
HASH_START = np.uint64(0xCBF29CE484222325)


def text_buffers(text: pa.LargeStringArray) -> tuple[Bytes, Offsets]:
    """The bytes of all rows and where they lie: row i is ``data[offsets[i]:offsets[i + 1]]``.

    No copy is made; both arrays are read-only, whether or not Arrow's buffers are, so that every
    kernel is compiled for one type of each. Raises ValueError when the array has nulls.
    """
    if text.null_count:
        raise ValueError(f"{text.null_count} of {len(text)} texts are null")
    _, offsets, data = text.buffers()
    if len(text) == 0:
        rows = np.zeros(1, dtype=np.int64)
    else:
        rows = np.frombuffer(offsets, dtype=np.int64, count=len(text) + 1, offset=8 * text.offset)
    size = data.size if data is not None else 0
    joined = np.frombuffer(data if size else b"", dtype=np.uint8, count=size)
    rows.flags.writeable = joined.flags.writeable = False
    return joined, rows


def _first_bytes(ascii_ones: set[int], others: set[int]) -> Bytes:
    """By first byte of a character: 1 if it is meant, 2 if that takes a look at the rest."""
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[sorted(ascii_ones)] = 1
    kinds[sorted(others)] = 2
    return kinds


_SPACES = _first_bytes({*range(0x09, 0x0E), *range(0x1C, 0x21)}, {0xC2, 0xE1, 0xE2, 0xE3})
_LINE_BREAKS = _first_bytes({0x0A, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E}, {0x0D, 0xC2, 0xE2})


@njit(cache=True, forceinline=True)
def space_width(data: Bytes, at: int) -> int:
    """Bytes of the white-space character (``str.isspace``) that begins ``at``, or 0."""
    kind = _SPACES[data[at]]
    return int(kind) if kind < 2 else _wide_space(data, at)


@njit(cache=True)
def _wide_space(data: Bytes, at: int) -> int:
    first, second = data[at], data[at + 1]
    if first == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    third = data[at + 2]
    if first == 0xE1:  # U+1680
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE3:  # U+3000
        return 3 if second == 0x80 and third == 0x80 else 0
    if second == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
        return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    return 3 if second == 0x81 and third == 0x9F else 0  # U+205F


@njit(cache=True, forceinline=True)
def line_break_width(data: Bytes, at: int, end: int) -> int:
    """Bytes of the line break (``str.splitlines``; CR LF is one) that begins ``at``, or 0."""
    kind = _LINE_BREAKS[data[at]]
    return int(kind) if kind < 2 else _wide_line_break(data, at, end)


@njit(cache=True)
def _wide_line_break(data: Bytes, at: int, end: int) -> int:
    first = data[at]
    if first == 0x0D:
        return 2 if at + 1 < end and data[at + 1] == NEWLINE else 1
    if first == 0xC2:
        return 2 if data[at + 1] == 0x85 else 0
    third = data[at + 2]  # U+2028, U+2029
    return 3 if data[at + 1] == 0x80 and (third == 0xA8 or third == 0xA9) else 0


@njit(cache=True, forceinline=True)
def find_line_break(data: Bytes, at: int, end: int) -> int:
    """Where the next line break begins, or ``end``."""
    while at < end:
        kind = _LINE_BREAKS[data[at]]
        if kind == 1 or (kind == 2 and _wide_line_break(data, at, end)):
            break
        at += 1
    return at


@njit(cache=True, forceinline=True)
def skip_space(data: Bytes, at: int, end: int) -> int:
    """Where ``str.lstrip`` of ``data[at:end]`` begins."""
    while at < end:
        width = space_width(data, at)
        if width == 0:
            break
        at += width
    return at


@njit(cache=True, forceinline=True)
def drop_space(data: Bytes, start: int, end: int) -> int:
    """Where ``str.rstrip`` of ``data[start:end]`` ends."""
    while end > start:
        at = end - 1
        while data[at] & 0xC0 == 0x80:
            at -= 1
        if space_width(data, at) == 0:
            break
        end = at
    return end


@njit(cache=True, forceinline=True)
def code_points(data: Bytes, start: int, end: int) -> int:
    """``len`` of the string in ``data[start:end]``."""
    count = 0
    for at in range(start, end):
        count += data[at] & 0xC0 != 0x80
    return count


@njit(cache=True, forceinline=True)
def mix(value: np.uint64) -> np.uint64:
    """Spread entropy over all 64 bits (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, forceinline=True)
def hash_step(value: np.uint64, byte: np.uint8) -> np.uint64:
    """FNV-1a, begun with HASH_START and ended with ``mix``."""
    return np.uint64((value ^ np.uint64(byte)) * np.uint64(0x100000001B3))


@njit(cache=True, forceinline=True)
def same_bytes(left: Bytes, at: int, right: Bytes, start: int, length: int) -> bool:
    """Whether ``left[at:at + length]`` equals ``right[start:start + length]``."""
    for i in range(length):  # noqa: SIM110 (numba has no all() over a generator)
        if left[at + i] != right[start + i]:
            return False
    return True


@njit(cache=True, forceinline=True)
def decode(data: Bytes, at: int) -> tuple[Any, int]:
    """The code point at ``at`` and where the next one begins."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, at + 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | data[at + 1] & 0x3F, at + 2
    tail = np.int64(data[at + 1] & 0x3F) << 6 | data[at + 2] & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | tail, at + 3
    return (lead & 0x07) << 18 | tail << 6 | data[at + 3] & 0x3F, at + 4
