"""Distinct tokens, numbered in the order they were met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.hashing.keys import Slots, empty_slots, enter, find, refill
from kernels.text.capacity import with_capacity
from kernels.text.character_flags import LETTER, PUNCT, STOP, SYMBOL, character_flags
from kernels.text.utf8 import Bytes, decode

# Base of the polynomial hash below; odd, so it has an inverse modulo 2^64.
_BASE = 0x9E3779B97F4A7C15
_TABLED = 64
_POWERS = np.array([pow(_BASE, i, 2**64) for i in range(_TABLED)], dtype=np.uint64)
_INVERSES = np.array([pow(_BASE, -i, 2**64) for i in range(_TABLED)], dtype=np.uint64)

Hashes = npt.NDArray[np.uint64]


class TokenArrays(NamedTuple):
    """The table as kernels see it: see TokenTable. ``used`` holds the number of tokens; ``slots``
    (kernels.hashing.keys) lead to them."""

    used: npt.NDArray[np.int64]
    slots: Slots
    offsets: npt.NDArray[np.int64]
    data: Bytes
    lengths: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    hashes: Hashes
    powers: Hashes
    inverses: Hashes


class TokenTable:
    """Interned tokens. Numbers stay valid while the table lives; the arrays grow, so take them
    anew after words were added.

    Token t is ``data[offsets[t]:offsets[t + 1]]`` in UTF-8 and has ``lengths[t]`` code points,
    ``flags[t]`` (kernels.text.character_flags: SYMBOL and PUNCT where all its characters are,
    LETTER where one is, STOP where it is one such character) and ``hashes[t]``, a polynomial in its
    bytes: the hash of tokens a and b glued together is ``hashes[a] + powers[a] * hashes[b]`` modulo
    2^64, where ``inverses`` holds what undoes a multiplication by ``powers``.
    """

    def __init__(self, capacity: int = 2**17) -> None:
        self.arrays = TokenArrays(
            used=np.zeros(1, dtype=np.int64),
            slots=empty_slots(capacity),
            offsets=np.zeros(capacity + 1, dtype=np.int64),
            data=np.empty(16 * capacity, dtype=np.uint8),
            lengths=np.empty(capacity, dtype=np.int32),
            flags=np.empty(capacity, dtype=np.uint8),
            hashes=np.empty(capacity, dtype=np.uint64),
            powers=np.empty(capacity, dtype=np.uint64),
            inverses=np.empty(capacity, dtype=np.uint64),
        )

    def __len__(self) -> int:
        return int(self.arrays.used[0])

    @property
    def data(self) -> Bytes:
        return self.arrays.data[: self.arrays.offsets[len(self)]]

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        return self.arrays.offsets[: len(self) + 1]

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        return self.arrays.lengths[: len(self)]

    @property
    def flags(self) -> npt.NDArray[np.uint8]:
        return self.arrays.flags[: len(self)]

    @property
    def hashes(self) -> Hashes:
        return self.arrays.hashes[: len(self)]

    @property
    def powers(self) -> Hashes:
        return self.arrays.powers[: len(self)]

    @property
    def inverses(self) -> Hashes:
        return self.arrays.inverses[: len(self)]

    def find(self, token: str) -> int:
        """The number of ``token``, or -1 when it has not been met."""
        data = np.frombuffer(token.encode(), dtype=np.uint8)
        arrays = self.arrays
        return max(-1, int(find(arrays.slots, arrays.offsets, arrays.data, data, 0, len(data))))

    def add(self, tokens: Sequence[str]) -> list[int]:
        """The numbers of ``tokens``; new ones are appended."""
        return [self._add(np.frombuffer(token.encode(), dtype=np.uint8)) for token in tokens]

    def _add(self, data: Bytes) -> int:
        while (number := int(intern(self.arrays, character_flags(), data, 0, len(data)))) < 0:
            self.grow(len(data))
        return number

    def grow(self, size: int = 0) -> None:
        """Twice the room, for tokens and for their bytes, and for one of ``size`` bytes."""
        old, count = self.arrays, len(self)
        room = 2 * len(old.flags)
        slots = empty_slots(room)
        refill(slots, old.slots)
        used = int(old.offsets[count])
        self.arrays = TokenArrays(
            used=old.used,
            slots=slots,
            offsets=with_capacity(old.offsets, count + 1, room + 1),
            data=with_capacity(old.data, used, max(2 * len(old.data), used + size)),
            lengths=with_capacity(old.lengths, count, room),
            flags=with_capacity(old.flags, count, room),
            hashes=with_capacity(old.hashes, count, room),
            powers=with_capacity(old.powers, count, room),
            inverses=with_capacity(old.inverses, count, room),
        )


@njit(cache=True)
def intern(table: TokenArrays, kinds: Bytes, data: Bytes, start: int, end: int) -> int:
    """The number of token ``data[start:end]``, appended if it is new; -1 if there is no room.

    ``kinds`` are those of kernels.text.character_flags.
    """
    found = find(table.slots, table.offsets, table.data, data, start, end)
    if found >= 0:
        return int(found)
    token = table.used[0]
    at = table.offsets[token]
    if token == len(table.flags) or at + end - start > len(table.data):
        return -1
    for i in range(start, end):
        table.data[at + i - start] = data[i]
    table.offsets[token + 1] = at + end - start
    _hash(table, token, data, start, end)
    _measure(table, kinds, token, data, start, end)
    enter(table.slots, -1 - found, token, data, start, end)
    table.used[0] = token + 1
    return int(token)


@njit(cache=True)
def _hash(table: TokenArrays, token: int, data: Bytes, start: int, end: int) -> None:
    """Sets the polynomial in the bytes of ``token``."""
    value, power, inverse = np.uint64(0), np.uint64(1), np.uint64(1)
    while start < end:
        size = min(end - start, _TABLED - 1)
        for i in range(size):
            value += power * _POWERS[i] * (np.uint64(data[start + i]) + np.uint64(1))
        power *= _POWERS[size]
        inverse *= _INVERSES[size]
        start += size
    table.hashes[token], table.powers[token], table.inverses[token] = value, power, inverse


@njit(cache=True)
def _measure(
    table: TokenArrays, kinds: Bytes, token: int, data: Bytes, start: int, end: int
) -> None:
    """Sets the length and the flags of ``token``."""
    every, some = np.uint8(0xFF), np.uint8(0)
    length, at = 0, start
    while at < end:
        code_point, at = decode(data, at)
        every &= kinds[code_point]
        some |= kinds[code_point]
        length += 1
    if length == 0:
        every = SYMBOL
    table.lengths[token] = length
    stop = STOP if length == 1 else np.uint8(0)
    table.flags[token] = (every & (SYMBOL | PUNCT | stop)) | (some & LETTER)
