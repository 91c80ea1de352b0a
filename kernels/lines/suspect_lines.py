"""Lines of a text in which ftfy may find something to repair; it is slow, and most hold nothing.

What is plain here is a claim about ftfy 6.3.1, which tests check against it. In plain ASCII it
repairs entities and control characters. Beyond, it first asks whether a line looks wrongly decoded
(``ftfy.badness``), and that takes either one of a few characters or two of some hundred, side by
side: accented Latin letters, Greek, Cyrillic, punctuation, signs and boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.edits import char_width, code_point
from kernels.text.utf8 import NEWLINE, Bytes, Offsets, text_buffers

# What to do with "&": it is plain, it is not, or it is not until a "<" has come on an earlier line.
PLAIN, SUSPECT, SUSPECT_BEFORE_MARKUP = 0, 1, 2

_AMPERSAND, _LESS = 0x26, 0x3C
# Kinds of characters: plain, those that are suspect beside another of their or the next kind
# (letters of Greek and Cyrillic only beside the next), and those that always are.
_HARMLESS, _LETTER, _PAIRED, _ALWAYS, _BREAK = range(5)


def _kinds() -> Bytes:
    """The kind of each code point below 0x10000."""
    kinds = np.zeros(0x10000, dtype=np.uint8)
    kinds[0x80:0x500] = _PAIRED
    kinds[0x370:0x500] = _LETTER
    kinds[[0x384, 0x385, 0x402, 0x490, 0x491]] = _PAIRED
    kinds[0x2000:0x2600] = _PAIRED
    kinds[[0xF8FF, 0xFB01, 0xFB02, 0xFFFD]] = _PAIRED
    kinds[[*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F]] = _ALWAYS
    kinds[0x80:0xA0] = _ALWAYS
    kinds[[0xC2, 0xC3, 0x152, 0x153]] = _ALWAYS  # Â Ã Œ œ: a space beside them is enough
    kinds[[*range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)]] = _ALWAYS
    kinds[[0x0D, 0x2028, 0x2029]] = _BREAK
    return kinds


_KINDS = _kinds()


@dataclass(frozen=True)
class Lines:
    """Line i is ``data[starts[i]:ends[i]]`` with its line feed; those of row r are
    ``first[r]:first[r + 1]``. ``markup[i]`` says that a "<" came on an earlier line of its row."""

    data: Bytes
    offsets: Offsets
    first: Offsets
    starts: Offsets
    ends: Offsets
    markup: npt.NDArray[np.bool_]


def suspect_lines(
    text: pa.LargeStringArray, ampersand: int, *, breaks: bool, beyond_ascii: bool
) -> Lines:
    """Lines, ended by line feeds, that ftfy may change.

    ``breaks`` are suspect when it unifies line breaks, and everything ``beyond_ascii`` when it
    normalises single characters.
    """
    data, offsets = text_buffers(text)
    first = np.zeros(len(offsets), dtype=np.int64)
    # Every line is at least a byte; memory that is not written to costs nothing.
    room = int(offsets[-1] - offsets[0])
    starts, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    markup = np.empty(room, dtype=np.bool_)
    _find(data, offsets, ampersand, breaks, beyond_ascii, first, starts, ends, markup)
    count = first[-1]
    return Lines(data, offsets, first, starts[:count], ends[:count], markup[:count])


@njit(cache=True)
def _find(
    data: Bytes,
    offsets: Offsets,
    ampersand: int,
    breaks: bool,
    beyond_ascii: bool,
    first: Offsets,
    starts: Offsets,
    ends: Offsets,
    markup: npt.NDArray[np.bool_],
) -> None:
    plain = np.zeros(128, dtype=np.bool_)
    for byte in range(128):
        plain[byte] = _KINDS[byte] == _HARMLESS or (_KINDS[byte] == _BREAK and not breaks)
    plain[_AMPERSAND] = ampersand == PLAIN
    count = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        seen = False
        while at < end:
            start = at
            suspect = False
            here = seen
            before = _HARMLESS
            while at < end and data[at] != NEWLINE:
                byte = data[at]
                if byte < 0x80:
                    here |= byte == _LESS
                    if not plain[byte]:
                        entity = byte == _AMPERSAND and ampersand == SUSPECT_BEFORE_MARKUP
                        suspect |= not (entity and seen)
                    before = _HARMLESS
                    at += 1
                    continue
                kind = _kind(data, at, breaks)
                suspect |= beyond_ascii or kind == _ALWAYS or kind + before > 2 * _LETTER
                before = kind
                at += char_width(byte)
            at = min(at + 1, end)
            if suspect:
                starts[count], ends[count], markup[count] = start, at, seen
                count += 1
            seen = here
        first[row + 1] = count


@njit(cache=True, forceinline=True)
def _kind(data: Bytes, at: int, breaks: bool) -> int:
    char = code_point(data, at)
    kind = _KINDS[char] if char < 0x10000 else np.uint8(_HARMLESS)
    if kind == _BREAK:
        kind = np.uint8(_ALWAYS) if breaks else np.uint8(_PAIRED)
    return int(kind)
