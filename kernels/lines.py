"""What can be read off the characters and lines of a text without knowing its words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.utf8 import (
    HASH_START,
    NEWLINE,
    Bytes,
    Offsets,
    code_points,
    drop_space,
    find_line_break,
    hash_step,
    line_break_width,
    mix,
    same_bytes,
    skip_space,
    text_buffers,
)

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
        end = offsets[row + 1]
        dots = 0
        for at in range(offsets[row], end):
            byte = data[at]
            if byte == _DOT:
                dots += 1
                if dots == 3:
                    ellipses[row] += 1
                    dots = 0
                continue
            dots = 0
            if byte == _HASH:
                hashes[row] += 1
            elif byte == 0xE2 and _is_wide(data, at, end, 0xA6):
                ellipses[row] += 1


@njit(cache=True, forceinline=True)
def _is_wide(data: Bytes, at: int, end: int, third: int) -> bool:
    """Whether a character of U+2000 to U+203F is at ``at``: "…" (A6) or "•" (A2)."""
    return at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == third


@njit(cache=True)
def _count_lines(
    data: Bytes, offsets: Offsets, lines: Counts, bullets: Counts, trailing: Counts
) -> None:
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            start = at
            at = find_line_break(data, at, end)
            stop = at
            if at < end:
                at += line_break_width(data, at, end)
            lines[row] += 1
            first = skip_space(data, start, stop)
            if first < stop and (data[first] == _DASH or _is_wide(data, first, stop, 0xA2)):
                bullets[row] += 1
            last = drop_space(data, start, stop)
            if last - start >= 3 and (
                (data[last - 1] == _DOT and data[last - 2] == _DOT and data[last - 3] == _DOT)
                or _is_wide(data, last - 3, last, 0xA6)
            ):
                trailing[row] += 1


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
        lengths[row] = code_points(data, offsets[row], offsets[row + 1])


@njit(cache=True)
def _most_newlines(data: Bytes, offsets: Offsets) -> int:
    most = 0
    for row in range(len(offsets) - 1):
        count = 0
        for at in range(offsets[row], offsets[row + 1]):
            count += data[at] == NEWLINE
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
    slots = np.empty(_slots_for(room), dtype=np.int32)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        if stripped:
            start = skip_space(data, start, end)
            end = drop_space(data, start, end)
        count = _cut(data, start, end, newlines, starts, ends, values)
        size = _slots_for(count)
        slots[:size] = -1
        mask = np.uint64(size - 1)
        pieces[row] = count
        for i in range(count):
            length = ends[i] - starts[i]
            slot = values[i] & mask
            while slots[slot] >= 0:
                other = slots[slot]
                if (
                    values[other] == values[i]
                    and ends[other] - starts[other] == length
                    and same_bytes(data, starts[other], data, starts[i], length)
                ):
                    repeats[row] += 1
                    characters[row] += code_points(data, starts[i], ends[i])
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
def _cut(
    data: Bytes,
    start: int,
    end: int,
    newlines: int,
    starts: Counts,
    ends: Counts,
    values: npt.NDArray[np.uint64],
) -> int:
    """Cuts ``data[start:end]`` at runs of at least ``newlines``; the number of pieces.

    Sets where they start and end, and their hashes.
    """
    count = 0
    at = start
    starts[0] = start
    value = HASH_START
    while at < end:
        if data[at] != NEWLINE:
            value = hash_step(value, data[at])
            at += 1
            continue
        run = at
        while at < end and data[at] == NEWLINE:
            at += 1
        if at - run >= newlines:
            ends[count] = run
            values[count] = mix(value)
            count += 1
            starts[count] = at
            value = HASH_START
        else:
            for _ in range(run, at):
                value = hash_step(value, np.uint8(NEWLINE))
    ends[count] = end
    values[count] = mix(value)
    return count + 1
