"""Sets of characters, and how much of a text is in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.character_classes import CODE_POINTS, members
from kernels.text.edits import char_width, code_point
from kernels.text.utf8 import Bytes, Offsets, text_buffers

Counts = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint8]

COUNTED, OF = 1, 2


@lru_cache(maxsize=16)
def character_table(counted: tuple[str, ...], of: tuple[str, ...]) -> Table:
    """COUNTED and OF for every code point [0x110000]: in one of the sets named. No name in ``of``
    means all characters, and COUNTED is only set beside OF. Raises ValueError for other names."""
    whole = np.zeros(CODE_POINTS, dtype=np.bool_) if of else np.ones(CODE_POINTS, dtype=np.bool_)
    for name in of:
        whole |= members(name)
    part = np.zeros(CODE_POINTS, dtype=np.bool_)
    for name in counted:
        part |= members(name)
    table = (OF * whole + COUNTED * (part & whole)).astype(np.uint8)
    table.flags.writeable = False
    return table


def count_characters(
    text: pa.LargeStringArray, counted: Sequence[str], of: Sequence[str] = ()
) -> tuple[Counts, Counts]:
    """How many characters [rows] of each text are in both ``counted`` and ``of``, and how many in
    ``of``: names of CLASSES or of scripts."""
    data, offsets = text_buffers(text)
    part, whole = np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)
    _count(data, offsets, character_table(tuple(counted), tuple(of)), part, whole)
    return part, whole


@njit(cache=True)
def _count(data: Bytes, offsets: Offsets, table: Table, part: Counts, whole: Counts) -> None:
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        within = total = 0
        while at < end:
            byte = data[at]
            if byte < 0x80:
                found = table[byte]
                at += 1
            else:
                found = table[code_point(data, at)]
                at += char_width(byte)
            within += found & COUNTED
            total += found >> 1
        part[row], whole[row] = within, total
