"""Words of normalised text as numbers, for kernels that compare words millions of times.

A word is what lies between spaces, with two exceptions. What an apostrophe cuts off in English
(don't, it's, we'll) is part of the word before it, so that "don't", "dont" and "don t" are one
word. And a number is no word: ``kernels.text.normalisation`` makes one of all of them.

Words of up to eight ASCII bytes are their own key; other keys are hashes, and the bytes are
compared. So two words get one number only if they are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.hashing.hashing import Hashes
from kernels.text.unspaced import unspaced_width
from kernels.text.utf8 import HASH_START, SPACE, Bytes, Offsets, hash_step, mix, text_buffers
from kernels.text.wide import load64

Ids = npt.NDArray[np.int32]

UNKNOWN = -1
MAX_WORDS = 2**21  # so that three word numbers make one exact 64-bit key

_LOW_BITS, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_SPACES = np.uint64(SPACE) * _LOW_BITS
_HASHED = np.uint64(1 << 63)  # no ASCII byte has this bit
_NUMBER = np.uint64(0x30)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd


@dataclass(frozen=True)
class Words:
    """Word numbers of some rows: row i has ``ids[starts[i]:starts[i + 1]]``; UNKNOWN is none."""

    ids: Ids
    starts: Offsets

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class Vocabulary:
    """Distinct words, numbered from 0.

    Word i has ``keys[i]`` and the bytes ``data[offsets[i]:offsets[i + 1]]``; ``slots`` is a hash
    table of word numbers, −1 where it is empty.
    """

    keys: Hashes
    data: Bytes
    offsets: Offsets
    slots: Ids

    @classmethod
    def of(cls, normalised: pa.LargeStringArray) -> Vocabulary:
        """The words of some rows. ValueError when there are more than MAX_WORDS."""
        data, rows = text_buffers(normalised)
        size = int(rows[-1] - rows[0])
        room = size // 2 + len(normalised) + 1
        keys, offsets = np.empty(room, np.uint64), np.zeros(room + 1, np.int64)
        words, slots = np.empty(size, np.uint8), np.full(slots_for(room), UNKNOWN, np.int32)
        count = _collect(data, rows, keys, words, offsets, slots)
        if count > MAX_WORDS:
            raise ValueError(f"{count} distinct words are more than {MAX_WORDS}")
        # The table for all words, most of them repeated, is larger than that of the distinct ones.
        slots = np.full(slots_for(count), UNKNOWN, np.int32)
        fill_slots(keys[:count], slots)
        bounds = offsets[: count + 1].copy()
        return cls(keys[:count].copy(), words[: bounds[-1]].copy(), bounds, slots)

    @property
    def arrays(self) -> tuple[Hashes, Bytes, Offsets, Ids]:
        """What ``read_row`` takes."""
        return self.keys, self.data, self.offsets, self.slots

    def read(self, normalised: pa.LargeStringArray) -> Words:
        """The words of some rows."""
        data, rows = text_buffers(normalised)
        ids = np.empty(int(rows[-1] - rows[0]), np.int32)
        starts = np.zeros(len(normalised) + 1, np.int64)
        _read_rows(data, rows, *self.arrays, ids, starts)
        return Words(ids[: starts[-1]].copy(), starts)


def slots_for(items: int) -> int:
    """The power of two that ``items`` fill at most to half."""
    return 1 << max(2, (2 * items - 1).bit_length())


@numba.njit(cache=True, forceinline=True)
def spread(key: np.uint64) -> np.uint64:
    """Bits of ``key`` where hash tables look for them."""
    value = key * _MULTIPLIER
    return np.uint64(value ^ (value >> np.uint64(32)))


@numba.njit(cache=True, nogil=True)
def fill_slots(keys: Hashes, slots: Ids) -> None:
    """Put the positions of distinct ``keys`` into a table that is empty (−1) and large enough."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        slot = spread(keys[i]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = i


@numba.njit(cache=True, nogil=True)
def _find_end(data: Bytes, at: int, stop: int) -> int:
    """Where the word that begins ``at`` ends."""
    width = unspaced_width(data, at)
    if width:
        return int(at + width)
    while at < stop and data[at] != SPACE and not unspaced_width(data, at):
        at += 1
    return at


@numba.njit(cache=True, forceinline=True)
def _cut_off(data: Bytes, at: int, stop: int) -> int:
    """Length of what an apostrophe cuts off (s, t, d, m, ll, re, ve) if that is the word ``at``,
    else 0."""
    one = data[at]
    two = data[at + 1] if at + 1 < stop else np.uint8(SPACE)
    three = data[at + 2] if at + 2 < stop else np.uint8(SPACE)
    single = (two == SPACE) & ((one == 0x73) | (one == 0x74) | (one == 0x64) | (one == 0x6D))
    ending = (two == 0x65) & ((one == 0x72) | (one == 0x76)) | (one == 0x6C) & (two == 0x6C)
    return int(1 * single + 2 * (ending & (three == SPACE)))


@numba.njit(cache=True, nogil=True)
def _key_of(data: Bytes, at: int, end: int) -> np.uint64:
    """The key of the word ``data[at:end]``, spaces left out."""
    packed, state, length, high = np.uint64(0), HASH_START, 0, np.uint8(0)
    for i in range(at, end):
        if data[i] != SPACE:
            if length < 8:
                packed |= np.uint64(data[i]) << np.uint64(8 * length)
            state = hash_step(state, data[i])
            high |= data[i]
            length += 1
    if length <= 8 and high < 0x80:
        return packed
    return np.uint64(mix(state)) | _HASHED


@numba.njit(cache=True, forceinline=True)
def _next_word(data: Bytes, at: int, stop: int) -> tuple[int, np.uint64]:
    """Where the word that begins ``at`` ends, and its key."""
    end, key = at, _HASHED
    if at + 8 < stop:
        # Eight bytes at once: the lowest set bit of ``gaps`` is the high one of the first space.
        eight = np.uint64(load64(data, at))
        others = eight ^ _SPACES
        gaps = (others - _LOW_BITS) & ~others & _HIGH_BITS
        word = ((gaps & (~gaps + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
        if gaps and not eight & word & _HIGH_BITS:
            key = eight & word
            end = at + int(((word & _LOW_BITS) * _LOW_BITS) >> np.uint64(56))
    if key == _HASHED:
        end = _find_end(data, at, stop)
        key = _key_of(data, at, end)
    if end + 1 < stop and data[end] == SPACE:
        more = _cut_off(data, end + 1, stop)
        if more:
            end += 1 + more
            key = _key_of(data, at, end)
    return end, key


@numba.njit(cache=True, nogil=True)
def _is_word(data: Bytes, at: int, end: int, words: Bytes, offsets: Offsets, word: int) -> bool:
    """Whether ``data[at:end]``, spaces left out, is that word."""
    start, stop = offsets[word], offsets[word + 1]
    for i in range(at, end):
        if data[i] != SPACE:
            if start == stop or data[i] != words[start]:
                return False
            start += 1
    return bool(start == stop)


@numba.njit(cache=True, forceinline=True)
def _slot_of(
    data: Bytes,
    at: int,
    end: int,
    key: np.uint64,
    keys: Hashes,
    words: Bytes,
    offsets: Offsets,
    slots: Ids,
) -> np.uint64:
    """The slot of a word, or the empty one where it would go."""
    mask = np.uint64(len(slots) - 1)
    slot = spread(key) & mask
    # Without ``break``: with one, numba counts references to the arrays at every call.
    while slots[slot] >= 0 and (
        keys[slots[slot]] != key
        or (key >= _HASHED and not _is_word(data, at, end, words, offsets, slots[slot]))
    ):
        slot = (slot + np.uint64(1)) & mask
    return np.uint64(slot)


@numba.njit(cache=True, nogil=True)
def _collect(
    data: Bytes, rows: Offsets, keys: Hashes, words: Bytes, offsets: Offsets, slots: Ids
) -> int:
    count = 0
    for row in range(len(rows) - 1):
        at, stop = rows[row], rows[row + 1]
        while at < stop:
            if data[at] == SPACE:
                at += 1
                continue
            end, key = _next_word(data, at, stop)
            slot = _slot_of(data, at, end, key, keys, words, offsets, slots)
            if slots[slot] < 0 and key != _NUMBER:
                slots[slot], keys[count], to = count, key, offsets[count]
                for i in range(at, end):
                    if data[i] != SPACE:
                        words[to] = data[i]
                        to += 1
                count += 1
                offsets[count] = to
            at = end
    return count


@numba.njit(cache=True, nogil=True)
def read_row(
    data: Bytes,
    at: int,
    stop: int,
    keys: Hashes,
    words: Bytes,
    offsets: Offsets,
    slots: Ids,
    ids: Ids,
    begins: Offsets,
    ends: Offsets,
) -> int:
    """Write the words of ``data[at:stop]`` and where they lie; returns how many there are."""
    count = 0
    while at < stop:
        if data[at] == SPACE:
            at += 1
            continue
        end, key = _next_word(data, at, stop)
        if key != _NUMBER:
            ids[count] = slots[_slot_of(data, at, end, key, keys, words, offsets, slots)]
            begins[count], ends[count] = at, end
            count += 1
        at = end
    return count


@numba.njit(cache=True, nogil=True)
def _read_rows(
    data: Bytes,
    rows: Offsets,
    keys: Hashes,
    words: Bytes,
    offsets: Offsets,
    slots: Ids,
    ids: Ids,
    starts: Offsets,
) -> None:
    longest = 0
    for row in range(len(rows) - 1):
        longest = max(longest, rows[row + 1] - rows[row])
    begins, ends = np.empty(longest, np.int64), np.empty(longest, np.int64)
    for row in range(len(rows) - 1):
        starts[row + 1] = starts[row] + read_row(
            *(data, rows[row], rows[row + 1], keys, words, offsets, slots),
            *(ids[starts[row] :], begins, ends),
        )
