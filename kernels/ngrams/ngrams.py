"""Characters in frequent and in repeated word n-grams, and counts of words by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.ngrams.ngram_bounds import meet, table_bits
from kernels.text.character_flags import LETTER, SYMBOL
from kernels.text.utf8 import Bytes, Offsets
from kernels.words.words import Words

Counts = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]

_MOST_BITS = 17  # a table of 512 KB stays in a second-level cache


@dataclass(frozen=True)
class WordCounts:
    """Counts [documents]: ``words``; those that are not all punctuation (``plain``) and their
    code points (``plain_characters``); those with a letter (``alphabetic``); and how many of the
    listed words occur (``listed``)."""

    words: Counts
    plain: Counts
    plain_characters: Counts
    alphabetic: Counts
    listed: Counts


def count_words(words: Words, listed: Iterable[str]) -> WordCounts:
    """Counts of words by kind, and of the distinct ones among ``listed``."""
    numbers = sorted({words.table.find(word) for word in listed} - {-1})
    places = np.zeros(len(words.table), dtype=np.int32)
    places[numbers] = np.arange(1, len(numbers) + 1)
    counts = np.zeros((4, len(words)), dtype=np.int64)
    _count_words(
        words.ids,
        words.starts,
        words.table.lengths,
        words.table.flags,
        places,
        len(numbers),
        counts,
    )
    return WordCounts(np.diff(words.starts), *counts)


@njit(cache=True)
def _count_words(
    ids: Ids,
    starts: Offsets,
    lengths: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint8],
    places: Ids,
    listed: int,
    counts: Counts,
) -> None:
    seen_in = np.full(listed + 1, -1, dtype=np.int64)  # by place; 0 is for all other tokens
    for row in range(len(starts) - 1):
        plain = characters = alphabetic = distinct = 0
        for i in range(starts[row], starts[row + 1]):
            token = ids[i]
            if not flags[token] & SYMBOL:
                plain += 1
                characters += lengths[token]
            if flags[token] & LETTER:
                alphabetic += 1
            place = places[token]
            if place and seen_in[place] != row:
                seen_in[place] = row
                distinct += 1
        counts[0, row] = plain
        counts[1, row] = characters
        counts[2, row] = alphabetic
        counts[3, row] = distinct


class Ngrams:
    """Word n-grams of documents, hashed for any n at once.

    With S[i] the sum of the hashes of a document's first i words, each times B to the number of
    bytes before it, the n words from i on have the hash (S[i + n] - S[i]) / B^(bytes before i).
    Document d has its S and its inverse powers at ``starts[d] + d`` and after.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        size = len(words.ids) + len(words)
        self._sums = np.empty(size, dtype=np.uint64)
        self._inverses = np.empty(size, dtype=np.uint64)
        self._summed = np.zeros(len(words), dtype=np.bool_)

    def _sum(self, rows: Offsets) -> None:
        """Fill in the sums of documents ``rows``, each once."""
        words, table = self._words, self._words.table
        missing = rows[~self._summed[rows]]
        self._summed[missing] = True
        _sum_hashes(
            words.ids,
            words.starts,
            missing,
            table.hashes,
            table.powers,
            table.inverses,
            self._sums,
            self._inverses,
        )

    def top_characters(self, n: int, rows: Offsets) -> Counts:
        """Code points in all occurrences of the most frequent n-gram, for documents ``rows``.

        An n-gram is ``n`` words with a space between each. The one that comes first wins a tie.
        0 for a document of fewer than ``n`` words.
        """
        found = np.zeros(len(rows), dtype=np.int64)
        words = self._words
        _top_ngrams(words.ids, words.starts, rows, n, words.table.lengths, found)
        return found

    def repeated_characters(self, n: int, rows: Offsets) -> Counts:
        """Code points in n-grams that repeat an earlier one, for documents ``rows``.

        An n-gram is ``n`` words glued together, so ("ab", "c") repeats ("a", "bc"). After a
        repeat the search goes on behind it, else one word further.
        """
        self._sum(rows)
        found = np.zeros(len(rows), dtype=np.int64)
        words = self._words
        _repeated_ngrams(
            words.ids,
            words.starts,
            rows,
            n,
            self._sums,
            self._inverses,
            words.table.lengths,
            words.table.data,
            words.table.offsets,
            found,
        )
        return found


@njit(cache=True)
def _sum_hashes(
    ids: Ids,
    starts: Offsets,
    rows: Offsets,
    hashes: Hashes,
    powers: Hashes,
    inverses: Hashes,
    sums: Hashes,
    undo: Hashes,
) -> None:
    for row in rows:
        at = starts[row] + row
        total, power, inverse = np.uint64(0), np.uint64(1), np.uint64(1)
        for i in range(starts[row], starts[row + 1]):
            token = ids[i]
            sums[at], undo[at] = total, inverse
            total += power * hashes[token]
            power *= powers[token]
            inverse *= inverses[token]
            at += 1
        sums[at], undo[at] = total, inverse


@njit(cache=True)
def _slot_bits(items: int) -> int:
    """The binary logarithm of a table size that ``items`` fill at most to half."""
    bits = 2
    while 1 << bits < 2 * items:
        bits += 1
    return bits


@njit(cache=True)
def _most_words(starts: Offsets, rows: Offsets) -> int:
    most = 0
    for row in rows:
        most = max(most, starts[row + 1] - starts[row])
    return most


@njit(cache=True, forceinline=True)
def _gram_hash(sums: Hashes, undo: Hashes, at: int, n: int) -> np.uint64:
    """Never 0, which marks an empty slot; its high bits depend on all bytes of the n-gram."""
    value = (sums[at + n] - sums[at]) * undo[at]
    value ^= value >> np.uint64(32)
    return np.uint64(value * np.uint64(0xD6E8FEB86659FD93) | np.uint64(1))


@njit(cache=True)
def _top_ngrams(
    ids: Ids,
    starts: Offsets,
    rows: Offsets,
    n: int,
    lengths: npt.NDArray[np.int32],
    found: Counts,
) -> None:
    room = max(_most_words(starts, rows), 1)
    values = np.empty(room, dtype=np.uint64)
    doubtful = np.empty(room, dtype=np.int64)
    met = np.empty(1 << min(_slot_bits(2 * room), _MOST_BITS), dtype=np.int32)
    keys = np.empty(1 << _slot_bits(room), dtype=np.uint64)
    firsts = np.empty(1 << _slot_bits(room), dtype=np.int32)
    counts = np.empty(1 << _slot_bits(room), dtype=np.int32)
    for out in range(len(rows)):
        own = ids[starts[rows[out]] : starts[rows[out] + 1]]
        grams = len(own) - n + 1
        if grams < 1:
            continue
        _hash_ids(own, n, values)
        bits = min(_slot_bits(2 * grams), _MOST_BITS)
        shift = np.uint64(64 - bits)
        met[: 1 << bits] = 0
        most = 0
        for i in range(grams):
            slot = np.int64(values[i] >> shift)
            met[slot] += 1
            most = max(most, int(met[slot]))
        # No n-gram is more frequent than its slot, so those in the fullest are counted first. What
        # they come to is what a slot needs for more.
        top, need = 0, most
        while need > 1:
            doubts = 0
            for i in range(grams):
                doubtful[doubts] = i
                doubts += met[np.int64(values[i] >> shift)] >= need
            most, top = _most_frequent(own, n, values, doubtful[:doubts], keys, firsts, counts)
            if most >= need or need == 2:
                break
            need = max(most, 2)
        if most == 1:
            top = 0
        length = n - 1
        for j in range(top, top + n):
            length += lengths[own[j]]
        found[out] = length * most


@njit(cache=True)
def _hash_ids(ids: Ids, n: int, values: Hashes) -> None:
    """Hashes of all n-grams, whose high bits depend on all of their words."""
    grams = len(ids) - n + 1
    values[:grams] = 0
    factor = np.uint64(0x9E3779B97F4A7C15)
    for j in range(n):
        for i in range(grams):
            values[i] += factor * np.uint64(ids[i + j])
        factor *= np.uint64(0xD6E8FEB86659FD93)


@njit(cache=True)
def _most_frequent(
    ids: Ids,
    n: int,
    values: Hashes,
    places: Offsets,
    keys: Hashes,
    firsts: Ids,
    counts: Ids,
) -> tuple[int, int]:
    """The largest frequency among the n-grams at ``places``, and where its first n-gram is."""
    bits = _slot_bits(len(places))
    mask = (1 << bits) - 1
    counts[: 1 << bits] = 0
    most, top = 0, 0
    for j in range(len(places)):
        i = places[j]
        value = values[i]
        slot = np.int64((value * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(64 - bits))
        while counts[slot] != 0 and not (
            keys[slot] == value and _same_ids(ids, firsts[slot], i, n)
        ):
            slot = (slot + 1) & mask
        if counts[slot] == 0:
            keys[slot] = value
            firsts[slot] = i
        counts[slot] += 1
        if counts[slot] > most:
            most, top = int(counts[slot]), int(firsts[slot])
        elif counts[slot] == most:
            top = min(top, int(firsts[slot]))
    return most, top


@njit(cache=True)
def _repeated_ngrams(
    ids: Ids,
    starts: Offsets,
    rows: Offsets,
    n: int,
    sums: Hashes,
    undo: Hashes,
    lengths: npt.NDArray[np.int32],
    data: Bytes,
    offsets: Offsets,
    found: Counts,
) -> None:
    room = max(_most_words(starts, rows), 1)
    values = np.empty(room, dtype=np.uint64)
    doubtful = np.empty(room, dtype=np.int64)
    seen = np.empty(1 << table_bits(room), dtype=np.uint8)
    keys = np.empty(1 << _slot_bits(room), dtype=np.uint64)
    firsts = np.empty(1 << _slot_bits(room), dtype=np.int32)
    for out in range(len(rows)):
        row = rows[out]
        start = starts[row]
        own = ids[start : starts[row + 1]]
        grams = len(own) - n + 1
        if grams < 1:
            continue
        shift = np.uint64(64 - table_bits(grams))
        seen[: 1 << table_bits(grams)] = 0
        again = 0
        for i in range(grams):
            values[i] = _gram_hash(sums, undo, start + row + i, n)
            again += meet(seen, values[i] >> shift)
        if again == 0:
            continue
        doubts = 0
        for i in range(grams):
            doubtful[doubts] = i
            doubts += seen[np.int64(values[i] >> shift)] > 1
        found[out] = _repeated_characters(
            own, n, values, doubtful[:doubts], keys, firsts, lengths, data, offsets
        )


@njit(cache=True)
def _repeated_characters(
    ids: Ids,
    n: int,
    values: Hashes,
    places: Offsets,
    keys: Hashes,
    firsts: Ids,
    lengths: npt.NDArray[np.int32],
    data: Bytes,
    offsets: Offsets,
) -> int:
    """Code points in n-grams that repeat an earlier one, all of which are at ``places``."""
    bits = _slot_bits(len(places))
    mask = (1 << bits) - 1
    keys[: 1 << bits] = 0
    characters = after = 0
    for j in range(len(places)):
        i = places[j]
        if i < after:
            continue
        value = values[i]
        slot = np.int64((value * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while keys[slot] != 0 and not (
            keys[slot] == value
            and (
                _same_ids(ids, firsts[slot], i, n)
                or _same_glued(ids, firsts[slot], i, n, data, offsets)
            )
        ):
            slot = (slot + 1) & mask
        if keys[slot] == 0:
            keys[slot] = value
            firsts[slot] = i
        else:
            for k in range(i, i + n):
                characters += lengths[ids[k]]
            after = i + n
    return characters


@njit(cache=True, forceinline=True)
def _same_ids(ids: Ids, left: int, right: int, n: int) -> bool:
    for i in range(n):  # noqa: SIM110 (numba has no all() over a generator)
        if ids[left + i] != ids[right + i]:
            return False
    return True


@njit(cache=True)
def _same_glued(ids: Ids, left: int, right: int, n: int, data: Bytes, offsets: Offsets) -> bool:
    """Whether the tokens at ``left`` and at ``right`` give the same bytes when glued."""
    j = 0
    at = offsets[ids[right]]
    for i in range(n):
        for here in range(offsets[ids[left + i]], offsets[ids[left + i] + 1]):
            while at == offsets[ids[right + j] + 1]:
                j += 1
                if j == n:
                    return False
                at = offsets[ids[right + j]]
            if data[at] != data[here]:
                return False
            at += 1
    return j == n - 1 and at == offsets[ids[right + j] + 1]
