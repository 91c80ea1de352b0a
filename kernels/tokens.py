"""Distinct tokens, numbered in the order they were met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.growing import with_capacity
from kernels.punctuation import PUNCTUATION
from kernels.utf8 import Bytes

SYMBOL = np.uint8(1)  # every character is in PUNCTUATION
ALPHABETIC = np.uint8(2)  # some character is a letter (str.isalpha)

# Base of the polynomial hash below; odd, so it has an inverse modulo 2^64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))

Hashes = npt.NDArray[np.uint64]


class TokenTable:
    """Interned tokens. Numbers stay valid while the table lives; the arrays grow, so take them
    anew after words were added.

    Token t is ``data[offsets[t]:offsets[t + 1]]`` in UTF-8 and has ``lengths[t]`` code points,
    ``flags[t]`` (SYMBOL, ALPHABETIC) and ``hashes[t]``, a polynomial in its bytes: the hash of
    tokens a and b glued together is ``hashes[a] + powers[a] * hashes[b]`` modulo 2^64, where
    ``inverses`` holds what undoes a multiplication by ``powers``.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._data = np.empty(2**16, dtype=np.uint8)
        self._offsets = np.zeros(2**13, dtype=np.int64)
        self._lengths = np.empty(2**13, dtype=np.int32)
        self._flags = np.empty(2**13, dtype=np.uint8)
        self._hashes = np.empty(2**13, dtype=np.uint64)
        self._powers = np.empty(2**13, dtype=np.uint64)
        self._inverses = np.empty(2**13, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def data(self) -> Bytes:
        return self._data[: self._offsets[len(self)]]

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        return self._offsets[: len(self) + 1]

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        return self._lengths[: len(self)]

    @property
    def flags(self) -> npt.NDArray[np.uint8]:
        return self._flags[: len(self)]

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        return self._hashes[: len(self)]

    @property
    def powers(self) -> npt.NDArray[np.uint64]:
        return self._powers[: len(self)]

    @property
    def inverses(self) -> npt.NDArray[np.uint64]:
        return self._inverses[: len(self)]

    def find(self, token: str) -> int:
        """The number of ``token``, or -1 when it has not been met."""
        return self._numbers.get(token, -1)

    def add(self, tokens: Sequence[str]) -> list[int]:
        """The numbers of ``tokens``; new ones are appended."""
        numbers = self._numbers
        return [numbers[token] if token in numbers else self._append(token) for token in tokens]

    def _append(self, token: str) -> int:
        number = len(self._numbers)
        encoded = token.encode()
        start = int(self._offsets[number])
        end = start + len(encoded)
        self._data = with_capacity(self._data, start, end)
        self._offsets = with_capacity(self._offsets, number + 1, number + 2)
        self._lengths = with_capacity(self._lengths, number, number + 1)
        self._flags = with_capacity(self._flags, number, number + 1)
        self._hashes = with_capacity(self._hashes, number, number + 1)
        self._powers = with_capacity(self._powers, number, number + 1)
        self._inverses = with_capacity(self._inverses, number, number + 1)
        self._data[start:end] = np.frombuffer(encoded, dtype=np.uint8)
        self._offsets[number + 1] = end
        self._lengths[number] = len(token)
        self._flags[number] = SYMBOL * PUNCTUATION.issuperset(token) | ALPHABETIC * (
            token.isalpha() or any(map(str.isalpha, token))
        )
        _polynomial(self._data, start, end, number, self._hashes, self._powers, self._inverses)
        self._numbers[token] = number
        return number


@njit(cache=True)
def _polynomial(
    data: Bytes, start: int, end: int, number: int, hashes: Hashes, powers: Hashes, inverses: Hashes
) -> None:
    value, power, inverse = np.uint64(0), np.uint64(1), np.uint64(1)
    for at in range(start, end):
        value += power * (np.uint64(data[at]) + np.uint64(1))
        power *= _BASE
        inverse *= _INVERSE
    hashes[number], powers[number], inverses[number] = value, power, inverse
