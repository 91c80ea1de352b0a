"""Spans of text between white space, in a hash table from their bytes to their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.growing import with_capacity
from kernels.utf8 import (
    HASH_START,
    SPACE,
    Bytes,
    Offsets,
    hash_bytes,
    hash_step,
    mix,
    same_bytes,
    space_width,
)

CHANGED = 1  # traits of a span, see kernels.english.Piece
REFUSES = 2

Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


class SpanArrays(NamedTuple):
    """The table as kernels see it.

    ``used`` holds the number of entries. Entry e is ``data[ends[e]:ends[e + 1]]`` with
    ``hashes[e]``; ``slots`` (a power of two, at most half full) hold entries or -1. ``first``,
    ``last`` and ``traits`` are those of kernels.english.Piece.
    """

    used: npt.NDArray[np.int64]
    slots: Ints
    hashes: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]
    data: Bytes
    first: Flags
    last: Flags
    traits: Flags


class SpanTable:
    """Spans met so far and the tokens of those described.

    Kernels enter spans; ``unknown`` lists those without tokens, and ``describe`` gives each its
    tokens, in that order. Entry e has ``token_ids[token_starts[e]:token_starts[e + 1]]``.
    """

    def __init__(self, clashes: Bools, capacity: int = 2**15) -> None:
        self.clashes = clashes
        self.arrays = SpanArrays(
            used=np.zeros(1, dtype=np.int64),
            slots=np.full(2 * capacity, -1, dtype=np.int32),
            hashes=np.empty(capacity, dtype=np.uint64),
            ends=np.zeros(capacity + 1, dtype=np.int64),
            data=np.empty(16 * capacity, dtype=np.uint8),
            first=np.empty(capacity, dtype=np.uint8),
            last=np.empty(capacity, dtype=np.uint8),
            traits=np.empty(capacity, dtype=np.uint8),
        )
        self._described = 0
        self._token_starts = np.zeros(capacity + 1, dtype=np.int64)
        self._token_ids = np.empty(capacity, dtype=np.int32)

    @property
    def count(self) -> int:
        return int(self.arrays.used[0])

    @property
    def bytes(self) -> int:
        return int(self.arrays.ends[self.count])

    @property
    def token_starts(self) -> npt.NDArray[np.int64]:
        return self._token_starts[: self._described + 1]

    @property
    def token_ids(self) -> Ints:
        return self._token_ids[: self._token_starts[self._described]]

    def grow(self) -> None:
        """Twice the room, for entries and for their bytes."""
        old, count = self.arrays, self.count
        room = 2 * len(old.hashes)
        slots = np.full(2 * room, -1, dtype=np.int32)
        _fill_slots(slots, old.hashes[:count])
        self.arrays = SpanArrays(
            used=old.used,
            slots=slots,
            hashes=with_capacity(old.hashes, count, room),
            ends=with_capacity(old.ends, count + 1, room + 1),
            data=with_capacity(old.data, self.bytes, 2 * len(old.data)),
            first=with_capacity(old.first, count, room),
            last=with_capacity(old.last, count, room),
            traits=with_capacity(old.traits, count, room),
        )

    def unknown(self) -> list[str]:
        """The spans without tokens."""
        ends = self.arrays.ends[self._described : self.count + 1].tolist()
        data = self.arrays.data[ends[0] : ends[-1]].tobytes()
        return [data[start - ends[0] : end - ends[0]].decode() for start, end in pairwise(ends)]

    def describe(self, tokens: Sequence[int], *, first: int, last: int, traits: int) -> None:
        """What the tokenizer makes of the next unknown span."""
        entry = self._described
        start = int(self._token_starts[entry])
        end = start + len(tokens)
        self._token_ids = with_capacity(self._token_ids, start, end)
        self._token_starts = with_capacity(self._token_starts, entry + 1, entry + 2)
        self._token_ids[start:end] = tokens
        self._token_starts[entry + 1] = end
        self.arrays.first[entry] = first
        self.arrays.last[entry] = last
        self.arrays.traits[entry] = traits
        self._described += 1


@njit(cache=True)
def _fill_slots(slots: Ints, hashes: npt.NDArray[np.uint64]) -> None:
    mask = np.uint64(len(slots) - 1)
    for entry in range(len(hashes)):
        slot = hashes[entry] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = entry


@njit(cache=True)
def _enter(table: SpanArrays, data: Bytes, start: int, end: int, value: np.uint64) -> int:
    """The new entry for ``data[start:end]``, whose hash is ``value``; -1 if there is no room."""
    entry = table.used[0]
    at = table.ends[entry]
    if entry == len(table.hashes) or at + end - start > len(table.data):
        return -1
    for i in range(start, end):
        table.data[at + i - start] = data[i]
    table.hashes[entry] = value
    table.ends[entry + 1] = at + end - start
    mask = np.uint64(len(table.slots) - 1)
    slot = value & mask
    while table.slots[slot] >= 0:
        slot = (slot + np.uint64(1)) & mask
    table.slots[slot] = entry
    table.used[0] = entry + 1
    return int(entry)


@njit(cache=True, forceinline=True)
def _find(
    slots: Ints,
    hashes: npt.NDArray[np.uint64],
    ends: npt.NDArray[np.int64],
    known: Bytes,
    data: Bytes,
    start: int,
    end: int,
    value: np.uint64,
) -> int:
    """The entry of ``data[start:end]``, or -1."""
    mask = np.uint64(len(slots) - 1)
    slot = value & mask
    while slots[slot] >= 0:
        entry = slots[slot]
        if (
            hashes[entry] == value
            and ends[entry + 1] - ends[entry] == end - start
            and same_bytes(known, ends[entry], data, start, end - start)
        ):
            return int(entry)
        slot = (slot + np.uint64(1)) & mask
    return -1


def most_spans(offsets: Offsets) -> int:
    """How many spans texts of these lengths can hold: one for every two bytes, rounded up."""
    return int(offsets[-1] - offsets[0] + len(offsets) - 1) // 2


@njit(cache=True)
def find_spans(
    data: Bytes,
    offsets: Offsets,
    row: int,
    table: SpanArrays,
    starts: npt.NDArray[np.int64],
    entries: Ints,
    joined: Bools,
) -> int:
    """Looks up, and enters, the spans of all documents from ``row`` on.

    Sets ``starts`` [rows + 1], ``entries`` [spans], and ``joined`` [spans] where nothing but one
    space lies between a span and the one before. Returns the number of rows, or the row at
    which the table was full.
    """
    # As locals, or every access would count references.
    slots, hashes, ends, known = table.slots, table.hashes, table.ends, table.data
    while row < len(offsets) - 1:
        out = starts[row]
        at, end = offsets[row], offsets[row + 1]
        before = np.int64(-1)  # where the previous span ended
        while at < end:
            width = space_width(data, at)
            if width:
                at += width
                continue
            start = at
            value = HASH_START
            while at < end and not space_width(data, at):
                value = hash_step(value, data[at])
                at += 1
            value = mix(value)
            entry = _find(slots, hashes, ends, known, data, start, at, value)
            if entry < 0:
                entry = _enter(table, data, start, at, value)
            if entry < 0:
                return row
            entries[out] = entry
            joined[out] = before >= 0 and before + 1 == start and data[before] == SPACE
            before = at
            out += 1
        row += 1
        starts[row] = out
    return row


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
) -> int:
    """Replaces spans that depend on each other by one entry, from document ``row`` on.

    Sets ``units`` [at most spans] and ``unit_starts`` [rows + 1], and ``refused`` [rows] where a
    span refuses its text. Returns the number of rows, or the row at which the table was full.
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
                out += 1
            else:
                for i in range(at, upto):
                    units[out] = entries[i]
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
    value = hash_bytes(text, 0, length)
    entry = _find(table.slots, table.hashes, table.ends, table.data, text, 0, length, value)
    return int(entry) if entry >= 0 else int(_enter(table, text, 0, length, value))
