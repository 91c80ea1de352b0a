"""What can be read off the characters and lines of a text without knowing its words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.utf8 import (
    NEWLINE,
    Bytes,
    Offsets,
    drop_space,
    line_break_width,
    skip_space,
    text_buffers,
)
from kernels.text.wide import bit_count, hash_range, lowest_bit, range_mask, same_range

_DOT = 0x2E
_DASH = 0x2D
_HASH = 0x23

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """Counts [documents] in each text.

    ``hashes`` and ``ellipses`` ("..." as often as it fits, and "…") in all of it; ``lines`` as
    ``str.splitlines`` makes them, ``bullets`` of which begin with "•" or "-" after white space,
    ``trailing`` end in an ellipsis before white space.
    """

    hashes: Counts
    ellipses: Counts
    lines: Counts
    bullets: Counts
    trailing: Counts


def marks(text: pa.LargeStringArray) -> Marks:
    """Counts of hash signs, ellipses and list-like lines in every text."""
    data, offsets = text_buffers(text)
    counts = np.zeros((5, len(text)), dtype=np.int64)
    _count_marks(data, offsets, counts[0], counts[1])
    _count_lines(data, offsets, counts[2], counts[3], counts[4])
    return Marks(*counts)


@njit(cache=True)
def _count_marks(data: Bytes, offsets: Offsets, hashes: Counts, ellipses: Counts) -> None:
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        for block in range(start, end, 64):
            hashes[row] += bit_count(range_mask(data, block, end, _HASH, _HASH))
            ellipses[row] += bit_count(_wide_mask(data, block, end, 0xA6, 0xA6))
            found = range_mask(data, block, end, _DOT, _DOT)
            found &= range_mask(data, block + 1, end, _DOT, _DOT)
            found &= range_mask(data, block + 2, end, _DOT, _DOT)
            while found:
                at = block + lowest_bit(found)
                found &= found - np.uint64(1)
                if at >= start:
                    ellipses[row] += 1
                    start = at + 3


@njit(cache=True, forceinline=True)
def _wide_mask(data: Bytes, block: int, end: int, low: int, high: int) -> np.uint64:
    """Which characters that begin in the block are of U+2000 to U+203F, ``low`` to ``high`` last.

    The last byte is A2 in "•", A6 in "…", A8 and A9 in separators of lines and of paragraphs.
    """
    found = range_mask(data, block, end, 0xE2, 0xE2)
    found &= range_mask(data, block + 1, end, 0x80, 0x80)
    return np.uint64(found & range_mask(data, block + 2, end, low, high))


@njit(cache=True, forceinline=True)
def _line_breaks(data: Bytes, block: int, end: int) -> np.uint64:
    """Where a line break of ``str.splitlines`` begins; so does the line feed of CR LF."""
    found = range_mask(data, block, end, 0x0A, 0x0D) | range_mask(data, block, end, 0x1C, 0x1E)
    next_lines = range_mask(data, block, end, 0xC2, 0xC2)
    next_lines &= range_mask(data, block + 1, end, 0x85, 0x85)
    return np.uint64(found | next_lines | _wide_mask(data, block, end, 0xA8, 0xA9))


@njit(cache=True)
def _count_lines(
    data: Bytes, offsets: Offsets, lines: Counts, bullets: Counts, trailing: Counts
) -> None:
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        for block in range(start, end, 64):
            found = _line_breaks(data, block, end)
            while found:
                at = block + lowest_bit(found)
                found &= found - np.uint64(1)
                if at < start:  # the line feed of CR LF
                    continue
                lines[row] += 1
                bullets[row] += _is_bullet(data, start, at)
                trailing[row] += _trails_off(data, start, at)
                start = at + line_break_width(data, at, end)
        if start < end:
            lines[row] += 1
            bullets[row] += _is_bullet(data, start, end)
            trailing[row] += _trails_off(data, start, end)


@njit(cache=True, forceinline=True)
def _is_bullet(data: Bytes, start: int, end: int) -> bool:
    blank = range_mask(data, start, end, 0x09, 0x0D) | range_mask(data, start, end, 0x1C, 0x20)
    first = start + lowest_bit(~blank)
    if first < end and not _is_print(data[first]):
        first = skip_space(data, first, end)
    if first >= end:
        return False
    if data[first] == _DASH:
        return True
    return bool(data[first] == 0xE2 and data[first + 1] == 0x80 and data[first + 2] == 0xA2)


@njit(cache=True, forceinline=True)
def _trails_off(data: Bytes, start: int, end: int) -> bool:
    if end - start < 3 or (_is_print(data[end - 1]) and data[end - 1] != _DOT):
        return False
    last = drop_space(data, start, end)
    if last - start < 3:
        return False
    one, two, three = data[last - 3], data[last - 2], data[last - 1]
    dots = one == _DOT and two == _DOT and three == _DOT
    return bool(dots or (one == 0xE2 and two == 0x80 and three == 0xA6))


@njit(cache=True, forceinline=True)
def _is_print(byte: np.uint8) -> bool:
    """Whether it is a character by itself and not white space."""
    return bool(0x20 < byte < 0x80)


@dataclass(frozen=True)
class Repeats:
    """Counts [documents]: the ``pieces`` of each text, those that ``repeat`` an earlier one, and
    the ``characters`` (code points) of the latter."""

    pieces: Counts
    repeats: Counts
    characters: Counts


def text_lengths(text: pa.LargeStringArray) -> Counts:
    """``len`` of every text, in code points."""
    data, offsets = text_buffers(text)
    lengths = np.empty(len(text), dtype=np.int64)
    _measure(data, offsets, lengths)
    return lengths


def repeated_lines(text: pa.LargeStringArray) -> Repeats:
    r"""Lines as ``re.split(r"\n+", text)`` makes them: edges may be empty, and count."""
    return _repeats(text, newlines=1, stripped=False)


def repeated_paragraphs(text: pa.LargeStringArray) -> Repeats:
    r"""Paragraphs as ``re.split(r"\n{2,}", text.strip())`` makes them."""
    return _repeats(text, newlines=2, stripped=True)


def _repeats(text: pa.LargeStringArray, newlines: int, stripped: bool) -> Repeats:
    data, offsets = text_buffers(text)
    counts = np.zeros((3, len(text)), dtype=np.int64)
    _count_repeats(data, offsets, newlines, stripped, counts[0], counts[1], counts[2])
    return Repeats(*counts)


@njit(cache=True)
def _measure(data: Bytes, offsets: Offsets, lengths: Counts) -> None:
    for row in range(len(offsets) - 1):
        lengths[row] = _code_points(data, offsets[row], offsets[row + 1])


@njit(cache=True, forceinline=True)
def _code_points(data: Bytes, start: int, end: int) -> int:
    count = end - start
    for block in range(start, end, 64):
        count -= bit_count(range_mask(data, block, end, 0x80, 0xBF))
    return count


@njit(cache=True)
def _most_newlines(data: Bytes, offsets: Offsets) -> int:
    most = 0
    for row in range(len(offsets) - 1):
        count = 0
        for block in range(offsets[row], offsets[row + 1], 64):
            count += bit_count(range_mask(data, block, offsets[row + 1], NEWLINE, NEWLINE))
        most = max(most, count)
    return most


@njit(cache=True)
def _count_repeats(
    data: Bytes,
    offsets: Offsets,
    newlines: int,
    stripped: bool,
    pieces: Counts,
    repeats: Counts,
    characters: Counts,
) -> None:
    room = _most_newlines(data, offsets) + 1
    starts = np.empty(room, dtype=np.int64)
    ends = np.empty(room, dtype=np.int64)
    values = np.empty(room, dtype=np.uint64)
    slots = np.empty(_slots_for(room), dtype=np.int64)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        if stripped:
            start = skip_space(data, start, end)
            end = drop_space(data, start, end)
        count = _cut(data, start, end, newlines, starts, ends)
        pieces[row] = count
        if count == 1:
            continue
        size = _slots_for(count)
        slots[:size] = -1
        mask = np.uint64(size - 1)
        for i in range(count):
            length = ends[i] - starts[i]
            values[i] = hash_range(data, starts[i], ends[i])
            slot = values[i] & mask
            while slots[slot] >= 0:
                other = slots[slot]
                if (
                    values[other] == values[i]
                    and ends[other] - starts[other] == length
                    and same_range(data, starts[other], starts[i], length)
                ):
                    repeats[row] += 1
                    characters[row] += _code_points(data, starts[i], ends[i])
                    break
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] < 0:
                slots[slot] = i


@njit(cache=True)
def _slots_for(items: int) -> int:
    """The power of two that a table of ``items`` fills at most to half."""
    size = 4
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True)
def _cut(data: Bytes, start: int, end: int, newlines: int, starts: Counts, ends: Counts) -> int:
    """Cuts ``data[start:end]`` at runs of at least ``newlines``; the number of pieces."""
    count = 0
    starts[0] = start
    run = after = np.int64(-1)  # where the last run of newlines begins and ends
    for block in range(start, end, 64):
        found = range_mask(data, block, end, NEWLINE, NEWLINE)
        while found:
            at = block + lowest_bit(found)
            found &= found - np.uint64(1)
            if at != after:
                run = at
            after = at + 1
            if after - run == newlines:
                ends[count] = run
                count += 1
            if after - run >= newlines:
                starts[count] = after
    ends[count] = end
    return count + 1
