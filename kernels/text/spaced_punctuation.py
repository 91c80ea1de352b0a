"""Punctuation as words of its own: what models that split at spaces read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from kernels.text.edits import strings
from kernels.text.utf8 import NEWLINE, SPACE, Bytes, Offsets, text_buffers

# Bytes that a byte becomes: ASCII punctuation gets a space on either side.
_WIDTHS = np.ones(256, dtype=np.int64)
_WIDTHS[list(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")] = 3


def space_punctuation(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """``text`` [rows] with a space before and after each ASCII punctuation mark, newlines replaced
    by spaces. ValueError when there are nulls."""
    data, offsets = text_buffers(text)
    ends = np.zeros(len(text) + 1, dtype=np.int64)
    _measure(data, offsets, ends)
    out = np.empty(ends[-1], dtype=np.uint8)
    _write(data, offsets, out)
    return strings(out, ends)


@njit(cache=True)
def _measure(data: Bytes, offsets: Offsets, ends: Offsets) -> None:
    total = 0
    for row in range(len(offsets) - 1):
        for at in range(offsets[row], offsets[row + 1]):
            total += _WIDTHS[data[at]]
        ends[row + 1] = total


@njit(cache=True)
def _write(data: Bytes, offsets: Offsets, out: Bytes) -> None:
    to = 0
    for at in range(offsets[0], offsets[-1]):
        byte = data[at]
        if _WIDTHS[byte] == 3:
            out[to], out[to + 1], out[to + 2] = SPACE, byte, SPACE
            to += 3
        else:
            out[to] = SPACE if byte == NEWLINE else byte
            to += 1
