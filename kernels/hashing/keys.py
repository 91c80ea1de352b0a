"""Short byte strings as two integers, so that most hash-table lookups compare no bytes.

A table has slots [a power of two, 3] of 64 bits, at most half of them in use: the two halves of an
item's key, and its length and number in one word, or EMPTY. Hot loops keep ``slots`` in a local and
look an item up by themselves, as in ``kernels.words.spans.enter_spans``: every function that takes
an array counts references to it, which costs more than the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.hashing.hashing import xxh64
from kernels.text.utf8 import Bytes, Offsets, mix, same_bytes
from kernels.text.wide import load64

INLINE = 16  # bytes that a key holds itself

EMPTY = np.uint64(2**64 - 1)
NUMBER_BITS = np.uint64(32)
NUMBER_MASK = np.uint64(2**32 - 1)

_ODD = np.uint64(0x9FB21C651E98DF25)


Slots = npt.NDArray[np.uint64]

# By a number of bytes: what keeps that many of the lowest bytes of a word.
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)


@njit(cache=True)
def _load(data: Bytes, start: int, end: int) -> np.uint64:
    """At most 8 bytes as one little-endian number, byte by byte."""
    value = np.uint64(0)
    for i in range(start, min(start + 8, end)):
        value |= np.uint64(data[i]) << np.uint64(8 * (i - start))
    return value


@njit(cache=True, forceinline=True)
def key_of(data: Bytes, start: int, end: int) -> tuple[np.uint64, np.uint64]:
    """The key of ``data[start:end]``: with its length, it tells apart all strings of at most
    INLINE bytes, and others but for a chance of 2^-64."""
    length = end - start
    if length > INLINE:
        return xxh64(data, start, end, np.uint64(0)), np.uint64(0)
    if start + INLINE > len(data):
        return _load(data, start, end), _load(data, start + 8, end)
    low = load64(data, start) & _MASKS[min(length, 8)]
    return low, load64(data, start + 8) & _MASKS[max(length - 8, 0)]


@njit(cache=True, forceinline=True)
def key_hash(low: np.uint64, high: np.uint64, length: int) -> np.uint64:
    """64 well-mixed bits of a key and the length it belongs to."""
    return np.uint64(mix(low ^ ((high + np.uint64(length)) * _ODD)))


def empty_slots(items: int) -> Slots:
    """Slots for at most ``items`` (a power of two)."""
    return np.full((2 * items, 3), EMPTY, dtype=np.uint64)


@njit(cache=True)
def refill(slots: Slots, old: Slots) -> None:
    """Enter what is in ``old`` slots into empty ones."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(old)):
        if old[i, 2] != EMPTY:
            slot = key_hash(old[i, 0], old[i, 1], old[i, 2] >> NUMBER_BITS) & mask
            while slots[slot, 2] != EMPTY:
                slot = (slot + np.uint64(1)) & mask
            slots[slot] = old[i]


@njit(cache=True)
def find(slots: Slots, ends: Offsets, known: Bytes, data: Bytes, start: int, end: int) -> int:
    """The number of ``data[start:end]``, item i being ``known[ends[i]:ends[i + 1]]``; when there
    is none, -1 less the slot where it belongs."""
    length = np.uint64(end - start)
    low, high = key_of(data, start, end)
    mask = np.uint64(len(slots) - 1)
    slot = key_hash(low, high, length) & mask
    word = slots[slot, 2]
    while word != EMPTY:
        number = np.int64(word & NUMBER_MASK)
        if (
            slots[slot, 0] == low
            and slots[slot, 1] == high
            and word >> NUMBER_BITS == length
            and (length <= INLINE or same_bytes(known, ends[number], data, start, end - start))
        ):
            return int(number)
        slot = (slot + np.uint64(1)) & mask
        word = slots[slot, 2]
    return -1 - int(slot)


@njit(cache=True)
def enter(slots: Slots, slot: int, number: int, data: Bytes, start: int, end: int) -> None:
    """Item ``number``, which is ``data[start:end]``, into the ``slot`` that ``find`` named."""
    low, high = key_of(data, start, end)
    slots[slot, 0], slots[slot, 1] = low, high
    slots[slot, 2] = np.uint64(end - start) << NUMBER_BITS | np.uint64(number)
