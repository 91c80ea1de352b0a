"""Characters of scripts that are written without spaces between words, each a word of its own."""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa

from kernels.text.edits import strings
from kernels.text.utf8 import SPACE, Bytes, Offsets, text_buffers


def separate_unspaced(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """``text`` [rows] with a space on either side of each character of such a script, where there
    is none. So what looks for words finds these characters. ValueError when there are nulls."""
    data, offsets = text_buffers(text)
    found = _count(data, offsets)
    if not found:
        return text
    out = np.empty(int(offsets[-1] - offsets[0]) + 2 * found, dtype=np.uint8)
    ends = np.zeros(len(text) + 1, dtype=np.int64)
    _separate(data, offsets, out, ends)
    return strings(out[: ends[-1]], ends)


@numba.njit(cache=True, forceinline=True)
def unspaced_width(data: Bytes, at: int) -> int:
    """Bytes of the character at ``at`` if its script is written without spaces, else 0.

    Thai, Lao and Tibetan (U+0E00–0FFF), Burmese (1000–107F), Khmer (1780–17FF), Tai Le, New Tai Lue
    and Tai Tham (1940–1ABF), kana and ideographs (3000–9FFF and from 20000 on). By the first two
    bytes of the character.
    """
    lead = data[at]
    if lead < 0xE0:
        return 0
    second = data[at + 1]
    if lead == 0xE0:
        return 3 if second >= 0xB8 else 0
    if lead == 0xE1:
        burmese = (second == 0x80) | (second == 0x81)
        khmer = (second == 0x9E) | (second == 0x9F)
        tai = (second >= 0xA5) & (second <= 0xAA)
        return 3 if burmese | khmer | tai else 0
    if lead == 0xF0:
        return 4 if second >= 0xA0 else 0
    return 3 if 0xE3 <= lead <= 0xE9 else 0


@numba.njit(cache=True, nogil=True)
def _count(data: Bytes, offsets: Offsets) -> int:
    """How many such characters there are."""
    found = 0
    for at in range(offsets[0], offsets[-1]):
        if data[at] >= 0xE0 and unspaced_width(data, at):
            found += 1
    return found


@numba.njit(cache=True, nogil=True)
def _separate(data: Bytes, offsets: Offsets, out: Bytes, ends: Offsets) -> None:
    to = 0
    for row in range(len(offsets) - 1):
        begin = to
        at, stop = offsets[row], offsets[row + 1]
        after = False  # whether such a character came last
        while at < stop:
            width = unspaced_width(data, at)
            if (after or width) and to > begin and out[to - 1] != SPACE and data[at] != SPACE:
                out[to] = SPACE
                to += 1
            after = width > 0
            for _ in range(max(1, width)):
                out[to] = data[at]
                to += 1
                at += 1
        ends[row + 1] = to
