"""What edits of text need: characters and their properties, lower case, rows put together anew.

Which letters and digits there are depends on the version of Unicode that Python was built with;
asking Python itself keeps kernels in step with ``str``.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from kernels.text.utf8 import Bytes, Offsets, drop_space, skip_space, text_buffers

# Bits of ``properties``.
WORD = 1  # \w: str.isalnum, or "_"
ALNUM = 2  # str.isalnum
DECIMAL = 4  # \d: str.isdecimal
DIGIT = 8  # str.isdigit
UPPER = 16  # str.isupper

Properties = npt.NDArray[np.uint8]

CODE_POINTS = sys.maxunicode + 1
_SIGMA = 0x3A3
_DOTTED_I = 0x130  # the only character whose lower case is two: "i" and U+0307
_CASED_BELOW = 0x1F000  # no character from here on has another lower case
_GROWTH = 3  # most bytes of lower case for two of upper case


@cache
def properties() -> Properties:
    """WORD, ALNUM, DECIMAL, DIGIT and UPPER of every code point [0x110000]; takes 0.5 s, once."""
    found = np.zeros(CODE_POINTS, dtype=np.uint8)
    for bit, test in (
        (WORD | ALNUM, str.isalnum),
        (DECIMAL, str.isdecimal),
        (DIGIT, str.isdigit),
        (UPPER, str.isupper),
    ):
        has = np.fromiter(map(test, map(chr, range(CODE_POINTS))), np.bool_, CODE_POINTS)
        found[has] |= bit
    found[ord("_")] |= WORD
    found.flags.writeable = False
    return found


@njit(cache=True, forceinline=True)
def char_width(first: Any) -> int:
    """Bytes of the character whose first byte is ``first``."""
    if first < 0x80:
        return 1
    if first < 0xE0:
        return 2
    return 3 if first < 0xF0 else 4


@njit(cache=True, forceinline=True)
def code_point(data: Bytes, at: int) -> int:
    """The code point of the character that begins ``at``."""
    first = int(data[at])
    if first < 0x80:
        return first
    second = int(data[at + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second
    third = int(data[at + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third
    return (first & 0x07) << 18 | second << 12 | third << 6 | int(data[at + 3]) & 0x3F


@njit(cache=True, forceinline=True)
def code_point_before(data: Bytes, at: int) -> int:
    """The code point of the character that ends just before ``at``; there must be one."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return int(code_point(data, at))


def strings(data: Bytes, offsets: Offsets) -> pa.LargeStringArray:
    """Rows [offsets - 1] that a kernel wrote, row i to ``data[offsets[i]:offsets[i + 1]]``."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def stripped(data: Bytes, offsets: Offsets) -> pa.LargeStringArray:
    """``str.strip`` of each row ``data[offsets[i]:offsets[i + 1]]``."""
    out, ends = np.empty(offsets[-1] - offsets[0], np.uint8), np.zeros_like(offsets)
    _strip(data, offsets, out, ends)
    return strings(out, ends)


@njit(cache=True)
def _strip(data: Bytes, offsets: Offsets, out: Bytes, ends: Offsets) -> None:
    to = 0
    for row in range(len(offsets) - 1):
        start = skip_space(data, offsets[row], offsets[row + 1])
        end = drop_space(data, start, offsets[row + 1])
        for i in range(end - start):
            out[to + i] = data[start + i]
        to += end - start
        ends[row + 1] = to


def split(
    data: Bytes, offsets: Offsets, rows: npt.NDArray[np.int64], separator: int
) -> pa.LargeStringArray:
    """The strings between the ``separator`` bytes of ``rows``, one after the other; at least one
    of each row ``data[offsets[i]:offsets[i + 1]]``."""
    size = int((offsets[rows + 1] - offsets[rows]).sum())
    out, ends = np.empty(size, np.uint8), np.zeros(size + len(rows) + 1, np.int64)
    count = _split(data, offsets, rows, separator, out, ends)
    return strings(out, ends[: count + 1])


@njit(cache=True)
def _split(
    data: Bytes,
    offsets: Offsets,
    rows: npt.NDArray[np.int64],
    separator: int,
    out: Bytes,
    ends: Offsets,
) -> int:
    to = piece = 0
    for row in rows:
        for at in range(offsets[row], offsets[row + 1]):
            if data[at] == separator:
                piece += 1
                ends[piece] = to
            else:
                out[to] = data[at]
                to += 1
        piece += 1
        ends[piece] = to
    return piece


@cache
def _lower_case() -> npt.NDArray[np.int32]:
    """The lower case of each code point below _CASED_BELOW that has one, and is one character."""
    lowers = map(str.lower, map(chr, range(_CASED_BELOW)))
    table = np.array([ord(lower[0]) for lower in lowers], dtype=np.int32)
    table.flags.writeable = False
    return table


def lower(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """``str.lower`` of every text."""
    data, offsets = text_buffers(text)
    out = np.empty(_GROWTH * int(offsets[-1] - offsets[0]) // 2 + 1, np.uint8)
    ends, sigma = np.zeros(len(offsets), np.int64), np.zeros(len(text), np.bool_)
    _lower(data, offsets, _lower_case(), out, ends, sigma)
    lowered = strings(out, ends)
    if sigma.any():  # becomes one of two letters, by what is around it
        mask = pa.array(sigma)
        rest = [row.lower() for row in text.filter(mask).to_pylist()]
        lowered = pc.replace_with_mask(lowered, mask, pa.array(rest, pa.large_string()))
    return lowered


@njit(cache=True)
def _lower(
    data: Bytes,
    offsets: Offsets,
    table: npt.NDArray[np.int32],
    out: Bytes,
    ends: Offsets,
    sigma: npt.NDArray[np.bool_],
) -> None:
    to = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            byte = data[at]
            if byte < 0x80:
                # No branch on the letter: what comes next in text cannot be predicted.
                out[to] = byte + 32 * (np.uint8(byte - 0x41) < 26)
                at += 1
                to += 1
                continue
            char = code_point(data, at)
            width = char_width(byte)
            sigma[row] |= char == _SIGMA
            if char >= _CASED_BELOW or table[char] == char:
                for i in range(width):
                    out[to + i] = data[at + i]
                to += width
            else:
                to = _write_char(table[char], out, to)
                if char == _DOTTED_I:
                    to = _write_char(0x307, out, to)
            at += width
        ends[row + 1] = to


@njit(cache=True)
def _write_char(char: int, out: Bytes, to: int) -> int:
    """Writes a code point as UTF-8; where it ends."""
    if char < 0x80:
        out[to] = char
        return to + 1
    if char < 0x800:
        out[to] = 0xC0 | char >> 6
    else:
        if char < 0x10000:
            out[to] = 0xE0 | char >> 12
        else:
            out[to] = 0xF0 | char >> 18
            out[to + 1] = 0x80 | char >> 12 & 0x3F
            to += 1
        out[to + 1] = 0x80 | char >> 6 & 0x3F
        to += 1
    out[to + 1] = 0x80 | char & 0x3F
    return to + 2
