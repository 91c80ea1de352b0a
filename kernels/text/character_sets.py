"""Sets of characters, and how much of a text is in them."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from kernels.text.edits import char_width, code_point
from kernels.text.utf8 import Bytes, Offsets, text_buffers

Counts = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint8]

CODE_POINTS = sys.maxunicode + 1
COUNTED, OF = 1, 2


def _category(first: str) -> Callable[[str], bool]:
    return lambda character: unicodedata.category(character)[0] == first


# By name, as Python's own Unicode tables have them.
CLASSES: dict[str, Callable[[str], bool]] = {
    "letters": str.isalpha,
    "upper": str.isupper,
    "lower": str.islower,
    "digits": str.isdecimal,
    "alphanumeric": str.isalnum,
    "space": str.isspace,
    "printable": str.isprintable,
    "ascii": str.isascii,
    "marks": _category("M"),
    "punctuation": _category("P"),
    "symbols": _category("S"),
}


def is_script(name: str) -> bool:
    """Whether RE2, which Arrow holds, knows a script of Unicode by this name ("Latin", "Han")."""
    if not (name.isascii() and name.replace("_", "").isalpha() and name[0].isupper()):
        return False
    try:
        pc.match_substring_regex(pa.array([""]), rf"\p{{{name}}}")
    except pa.ArrowInvalid:
        return False
    return len(name) > 2  # shorter ones are categories


@lru_cache(maxsize=64)
def _members(name: str) -> npt.NDArray[np.bool_]:
    """Which code points [0x110000] are in the class or script."""
    if name in CLASSES:
        return np.fromiter(map(CLASSES[name], map(chr, range(CODE_POINTS))), np.bool_, CODE_POINTS)
    if not is_script(name):
        raise ValueError(f"{name!r} is neither a class of characters nor a script")
    # Surrogates are in no UTF-8 text.
    codes = [*range(0xD800), *range(0xE000, CODE_POINTS)]
    found = pc.match_substring_regex(pa.array(list(map(chr, codes))), rf"\p{{{name}}}")
    members = np.zeros(CODE_POINTS, dtype=np.bool_)
    members[codes] = found.to_numpy(zero_copy_only=False)
    return members


@lru_cache(maxsize=16)
def character_table(counted: tuple[str, ...], of: tuple[str, ...]) -> Table:
    """COUNTED and OF for every code point [0x110000]: in one of the sets named. No name in ``of``
    means all characters, and COUNTED is only set beside OF. Raises ValueError for other names."""
    whole = np.zeros(CODE_POINTS, dtype=np.bool_) if of else np.ones(CODE_POINTS, dtype=np.bool_)
    for name in of:
        whole |= _members(name)
    part = np.zeros(CODE_POINTS, dtype=np.bool_)
    for name in counted:
        part |= _members(name)
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
