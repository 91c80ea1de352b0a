"""Spans of text between white space, in a hash table from their bytes to their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.hashing.keys import (
    EMPTY,
    INLINE,
    NUMBER_BITS,
    NUMBER_MASK,
    Slots,
    empty_slots,
    enter,
    find,
    key_hash,
    key_of,
    refill,
)
from kernels.text.capacity import with_capacity
from kernels.text.utf8 import SPACE, Bytes, Offsets, space_width
from kernels.text.wide import load64, trailing_zeros

CHANGED = 1  # traits of a span, see kernels.words.span_tokenizer.Piece
REFUSES = 2

_SPACES = np.uint64(0x2121212121212121)
_HIGH_BITS = np.uint64(0x8080808080808080)


Ints = npt.NDArray[np.int32]
Parts = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]


class SpanArrays(NamedTuple):
    """The table as kernels see it.

    ``used`` holds the number of entries and that of token numbers. Entry e is
    ``data[ends[e]:ends[e + 1]]``, found by ``slots`` (kernels.hashing.keys). It has
    ``places[e, 1]`` tokens, in ``ids`` from ``places[e, 0]`` on. ``first``, ``last`` and ``traits``
    are those of kernels.words.span_tokenizer.Piece.
    """

    used: npt.NDArray[np.int64]
    slots: Slots
    ends: npt.NDArray[np.int64]
    data: Bytes
    places: npt.NDArray[np.int64]
    ids: Ints
    first: Parts
    last: Parts
    traits: npt.NDArray[np.uint8]


class SpanTable:
    """Spans met so far and the tokens of those described.

    Kernels enter spans; those from ``described`` on have no tokens yet.
    """

    def __init__(self, clashes: Bools, capacity: int = 2**17) -> None:
        self.clashes = clashes
        self.described = 0
        self.arrays = SpanArrays(
            used=np.zeros(2, dtype=np.int64),
            slots=empty_slots(capacity),
            ends=np.zeros(capacity + 1, dtype=np.int64),
            data=np.empty(16 * capacity, dtype=np.uint8),
            places=np.empty((capacity, 2), dtype=np.int64),
            ids=np.empty(2 * capacity, dtype=np.int32),
            first=np.zeros(capacity, dtype=np.uint16),
            last=np.zeros(capacity, dtype=np.uint16),
            traits=np.zeros(capacity, dtype=np.uint8),
        )

    @property
    def count(self) -> int:
        return int(self.arrays.used[0])

    @property
    def bytes(self) -> int:
        return int(self.arrays.ends[self.count])

    def grow(self, size: int) -> None:
        """More room, for what fills more than half of its own (entries or their bytes), and for
        one more span of ``size`` bytes."""
        old, count = self.arrays, self.count
        slots, places, room = old.slots, old.places, len(old.places)
        if 2 * count > room:
            room *= 2
            slots = empty_slots(room)
            refill(slots, old.slots)
            places = np.empty((room, 2), dtype=np.int64)
            places[:count] = old.places[:count]
        self.arrays = SpanArrays(
            used=old.used,
            slots=slots,
            ends=with_capacity(old.ends, count + 1, room + 1),
            data=with_capacity(old.data, self.bytes, self.bytes + max(size, len(old.data) // 2)),
            places=places,
            ids=old.ids,
            first=with_capacity(old.first, count, room),
            last=with_capacity(old.last, count, room),
            traits=with_capacity(old.traits, count, room),
        )

    def make_room(self, tokens: int) -> None:
        """Room for that many tokens more."""
        arrays, used = self.arrays, int(self.arrays.used[1])
        self.arrays = arrays._replace(ids=with_capacity(arrays.ids, used, used + tokens))

    def add(self, span: str) -> int:
        """The entry of ``span``, entered if it is new."""
        data = np.frombuffer(span.encode(), dtype=np.uint8)
        while (entry := int(_find_or_enter(self.arrays, data, 0, len(data)))) < 0:
            self.grow(len(data))
        return entry

    def text(self, entry: int) -> str:
        start, end = self.arrays.ends[entry : entry + 2].tolist()
        return self.arrays.data[start:end].tobytes().decode()

    def describe(
        self, entry: int, tokens: Sequence[int], *, first: int, last: int, traits: int
    ) -> None:
        """What the tokenizer makes of the span of ``entry``."""
        self.make_room(len(tokens))
        arrays, start = self.arrays, int(self.arrays.used[1])
        arrays.ids[start : start + len(tokens)] = tokens
        arrays.used[1] = start + len(tokens)
        arrays.places[entry] = start, len(tokens)
        arrays.first[entry], arrays.last[entry], arrays.traits[entry] = first, last, traits


@njit(cache=True)
def _find_or_enter(table: SpanArrays, data: Bytes, start: int, end: int) -> int:
    """The entry of ``data[start:end]``, new if need be; -1 if there is no room for it."""
    found = find(table.slots, table.ends, table.data, data, start, end)
    if found >= 0:
        return int(found)
    entry = table.used[0]
    at = table.ends[entry]
    if entry == len(table.places) or at + end - start > len(table.data):
        return -1
    for i in range(start, end):
        table.data[at + i - start] = data[i]
    table.ends[entry + 1] = at + end - start
    table.used[0] = entry + 1
    enter(table.slots, -1 - found, entry, data, start, end)
    return int(entry)


def most_spans(offsets: Offsets) -> int:
    """How many spans texts of these lengths can hold: one for every two bytes, rounded up."""
    return int(offsets[-1] - offsets[0] + len(offsets) - 1) // 2


@njit(cache=True, forceinline=True)
def _span_end(data: Bytes, at: int, end: int) -> int:
    """Where the next white space begins, or ``end``; eight bytes are looked at together."""
    while at + 8 <= end:
        word = load64(data, at)
        # The high bits of bytes that may be white space: those below 0x21 and beyond ASCII. Of
        # the former the first is exact; those after it do not matter.
        found = (((word - _SPACES) & ~word) | word) & _HIGH_BITS
        if found == 0:
            at += 8
            continue
        at += int(trailing_zeros(found) >> np.uint64(3))
        if space_width(data, at):
            return at
        at += 1
    while at < end and not space_width(data, at):
        at += 1
    return at


@njit(cache=True)
def cut_spans(
    data: Bytes, offsets: Offsets, starts: Offsets, begins: Offsets, ends: Offsets, joined: Bools
) -> None:
    """Finds the spans of all documents.

    Sets ``starts`` [rows + 1] to where each document's spans begin among all, ``begins`` and
    ``ends`` [spans] to where they lie, and ``joined`` [spans] where nothing but one space lies
    between a span and the one before.
    """
    out = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        before = np.int64(-1)  # where the previous span ended
        while at < end:
            width = space_width(data, at)
            if width:
                at += width
                continue
            begins[out] = at
            joined[out] = before >= 0 and before + 1 == at and data[before] == SPACE
            at = before = _span_end(data, at, end)
            ends[out] = at
            out += 1
        starts[row + 1] = out


@njit(cache=True)
def count_spans(data: Bytes, offsets: Offsets, counts: Offsets) -> None:
    """Sets ``counts`` [rows] to the number of spans of every document."""
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            width = space_width(data, at)
            if width:
                at += width
            else:
                at = _span_end(data, at, end)
                counts[row] += 1


@njit(cache=True)
def enter_spans(
    data: Bytes, begins: Offsets, ends: Offsets, begin: int, table: SpanArrays, entries: Ints
) -> int:
    """Sets ``entries`` [spans] from number ``begin`` on, new ones where need be.

    Returns the number of spans, or that at which the table was full.
    """
    # A local, and no function that takes it: both would count references for every span.
    slots = table.slots
    mask = np.uint64(len(slots) - 1)
    for i in range(begin, len(entries)):
        start, end = begins[i], ends[i]
        length = np.uint64(end - start)
        low, high = key_of(data, start, end)
        slot = key_hash(low, high, length) & mask
        word = slots[slot, 2]
        while word != EMPTY and not (
            slots[slot, 0] == low and slots[slot, 1] == high and word >> NUMBER_BITS == length
        ):
            slot = (slot + np.uint64(1)) & mask
            word = slots[slot, 2]
        entry = np.int64(word & NUMBER_MASK)
        if length > INLINE or word == EMPTY:
            entry = _find_or_enter(table, data, start, end)
            if entry < 0:
                return i
        entries[i] = entry
    return len(entries)


@njit(cache=True)
def join_spans(
    entries: Ints,
    joined: Bools,
    starts: npt.NDArray[np.int64],
    row: int,
    table: SpanArrays,
    clashes: Bools,
    units: Ints,
    unit_starts: npt.NDArray[np.int64],
    refused: Bools,
    gaps: Bools,
) -> int:
    """Replaces spans that depend on each other by one entry, from document ``row`` on.

    Sets ``units`` and ``gaps`` [at most spans], which is whether more than one space lies before
    the unit, ``unit_starts`` [rows + 1], and ``refused`` [rows] where a span refuses its text.
    Returns the number of rows, or the row at which the table was full.
    """
    while row < len(starts) - 1:
        out = unit_starts[row]
        at, end = starts[row], starts[row + 1]
        while at < end:
            upto = at + 1
            traits = table.traits[entries[at]]
            while (
                upto < end
                and joined[upto]
                and clashes[table.last[entries[upto - 1]], table.first[entries[upto]]]
            ):
                traits |= table.traits[entries[upto]]
                upto += 1
            refused[row] |= traits & REFUSES != 0
            if upto - at > 1 and traits & CHANGED:
                entry = _enter_joined(table, entries, at, upto)
                if entry < 0:
                    return row
                units[out] = entry
                gaps[out] = not joined[at]
                out += 1
            else:
                for i in range(at, upto):
                    units[out] = entries[i]
                    gaps[out] = not joined[i]
                    out += 1
            at = upto
        row += 1
        unit_starts[row] = out
    return row


@njit(cache=True)
def _enter_joined(table: SpanArrays, entries: Ints, start: int, end: int) -> int:
    """The entry of several spans with a space between each; -1 when there is no room for it."""
    length = end - start - 1
    for i in range(start, end):
        length += table.ends[entries[i] + 1] - table.ends[entries[i]]
    text = np.empty(length, dtype=np.uint8)
    at = 0
    for i in range(start, end):
        if i > start:
            text[at] = SPACE
            at += 1
        for byte in table.data[table.ends[entries[i]] : table.ends[entries[i] + 1]]:
            text[at] = byte
            at += 1
    return int(_find_or_enter(table, text, np.int64(0), length))
