"""Look-ups in lists of lines: whole strings, the words of URLs, and what URLs contain.

A list is the bytes of its lines, with newlines between them. Letters and digits are those of ASCII,
as in datatrove's ``[^a-zA-Z0-9]+``; whatever else there is separates words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.hashing.hashing import xxh64
from kernels.text.utf8 import NEWLINE, Bytes, Offsets, same_bytes

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int32]
Trie = npt.NDArray[np.int32]

LETTERS = 36


def _letter_numbers() -> npt.NDArray[np.int8]:
    """By byte: 0 to 35 for digits and letters of either case, -1 for others."""
    numbers = np.full(256, -1, dtype=np.int8)
    numbers[list(b"0123456789")] = np.arange(10)
    for letters in (b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        numbers[list(letters)] = np.arange(10, LETTERS)
    return numbers


_NUMBERS = _letter_numbers()


class Lines(NamedTuple):
    """A list with a hash table: ``slots`` (a power of two) hold where lines begin, or -1."""

    data: Bytes
    slots: npt.NDArray[Any]


def enter_lines(data: bytes) -> Lines:
    """The table of a list; at most 11 bytes a line (below 2 GiB). Empty lines are left out."""
    view = np.frombuffer(data, dtype=np.uint8)
    # At most three quarters of the slots are taken.
    size = 2 ** ((data.count(b"\n") + 1) * 4 // 3).bit_length()
    slots = np.full(size, -1, dtype=np.int32 if len(data) < 2**31 else np.int64)
    _enter(view, slots)
    return Lines(view, slots)


@njit(cache=True)
def _enter(data: Bytes, slots: npt.NDArray[Any]) -> None:
    mask = np.uint64(len(slots) - 1)
    start = 0
    for end in range(len(data) + 1):
        if end < len(data) and data[end] != NEWLINE:
            continue
        if end > start:
            slot = xxh64(data, start, end, np.uint64(0)) & mask
            while slots[slot] >= 0:
                slot = (slot + np.uint64(1)) & mask
            slots[slot] = start
        start = end + 1


@njit(cache=True, forceinline=True)
def _find(lines: Bytes, slots: npt.NDArray[Any], data: Bytes, start: int, end: int) -> np.int64:
    """Where in ``lines`` the line ``data[start:end]`` is; -1 when it is not there or empty."""
    if start == end:
        return np.int64(-1)
    mask = np.uint64(len(slots) - 1)
    length = end - start
    slot = xxh64(data, start, end, np.uint64(0)) & mask
    while slots[slot] >= 0:
        at = np.int64(slots[slot])
        if (
            at + length <= len(lines)
            and same_bytes(lines, at, data, start, length)
            and (at + length == len(lines) or lines[at + length] == NEWLINE)
        ):
            return at
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@njit(cache=True)
def find_texts(lines: Lines, data: Bytes, offsets: Offsets, found: Bools) -> None:
    """Set ``found`` [rows] where the whole text is a line; leave it elsewhere."""
    for row in range(len(offsets) - 1):
        if _find(lines.data, lines.slots, data, offsets[row], offsets[row + 1]) >= 0:
            found[row] = True


@njit(cache=True)
def count_words(lines: Lines, data: Bytes, offsets: Offsets, counts: Counts) -> None:
    """How many distinct words of each text are lines, into ``counts`` [rows]. Case counts."""
    for row in range(len(offsets) - 1):
        met = np.empty(0, dtype=np.int64)
        end = offsets[row + 1]
        start = offsets[row]
        counts[row] = 0
        for at in range(offsets[row], end + 1):
            if at < end and _NUMBERS[data[at]] >= 0:
                continue
            word = _find(lines.data, lines.slots, data, start, at)
            start = at + 1
            if word >= 0 and not np.any(met == word):
                met = np.append(met, word)
                counts[row] += 1


def make_trie(words: list[str]) -> Trie:
    """``words`` of lower-case letters and digits as a tree: row 0 is the root.

    Column c of a row leads on by letter c, 0 is nowhere; the last column is 1 where a word ends.
    """
    rows: list[list[int]] = [[0] * (LETTERS + 1)]
    for word in words:
        row = 0
        for letter in word.encode("ascii"):
            number = int(_NUMBERS[letter])
            if not rows[row][number]:
                rows[row][number] = len(rows)
                rows.append([0] * (LETTERS + 1))
            row = rows[row][number]
        rows[row][LETTERS] = 1
    return np.array(rows, dtype=np.int32)


@njit(cache=True)
def contain_any(trie: Trie, data: Bytes, offsets: Offsets, found: Bools) -> None:
    """Whether each text holds a word of ``trie``, whatever its case and what lies between."""
    for row in range(len(offsets) - 1):
        found[row] = False
        for start in range(offsets[row], offsets[row + 1]):
            if _NUMBERS[data[start]] >= 0 and _begins(trie, data, start, offsets[row + 1]):
                found[row] = True
                break


@njit(cache=True, forceinline=True)
def _begins(trie: Trie, data: Bytes, start: int, end: int) -> bool:
    node = 0
    for at in range(start, end):
        number = _NUMBERS[data[at]]
        if number < 0:
            continue
        node = trie[node, number]
        if node == 0:
            return False
        if trie[node, LETTERS]:
            return True
    return False
