"""Finds passages inside documents, whole or in part, verbatim or edited.

Every word trigram of a passage that is not too common is indexed. One pass over a document looks
its trigrams up; each one found is extended word against word along the passage, and where that
goes well the passage is aligned with the words around it, some of which may be put in or left out.
Words are numbers (``kernels.words.vocabulary``) and a trigram is three of them in one integer, so
nothing is found because hashes collide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.hashing.hashing import Hashes
from kernels.text.normalisation import normalise
from kernels.text.utf8 import Bytes, Offsets, text_buffers
from kernels.words.vocabulary import (
    MAX_WORDS,
    UNKNOWN,
    Ids,
    Vocabulary,
    Words,
    fill_slots,
    read_row,
    slots_for,
    spread,
)

Flags = npt.NDArray[np.bool_]

_BITS = np.uint64(MAX_WORDS.bit_length() - 1)  # of a word number
_FILTER_BITS = 16  # per trigram, of the filter that spares nearly all searches for other trigrams
# Passages of which two words were replaced have so many in a row left, from this length on.
_FOUR_IN_A_ROW, _SIX_IN_A_ROW = 12, 20
_ANY, _NONE = -2, -3  # in place of the word next to a trigram
_DROP = 4  # how far a score may fall below its best before extending ends
_MAX_BAND = 8
_LOW = -(2**30)


@dataclass(frozen=True)
class PassageHits:
    """Passages found [hits], by row.

    ``score`` [hits] is explained at ``NgramIndex``. ``begin`` and ``end`` are where the best
    stretch lies in the normalised text of its row, in bytes.
    """

    row: Offsets
    passage: Offsets
    score: Offsets
    begin: Offsets
    end: Offsets


class _Arrays(NamedTuple):
    """Words of passage p are ``words[starts[p]:starts[p + 1]]``. Trigram ``keys[i]`` is at
    ``places[first[i]:first[i + 1]]``: passage, position, word before and word after it. ``slots``
    is a hash table of ``keys``, and ``filter`` has a bit for each."""

    words: Ids
    starts: Offsets
    whole: Flags
    least: Offsets
    enough: Offsets
    keys: Hashes
    first: Offsets
    places: Ids
    slots: Ids
    filter: Hashes


class _Scratch(NamedTuple):
    """Arrays that every row is searched with: words of a row, where they begin and end; per passage
    the last row and diagonal that it was tried on, and its best score with the first and last word;
    passages tried in a row; a band of scores and of the words where their stretches begin."""

    ids: Ids
    begins: Offsets
    ends: Offsets
    tried: Offsets
    best: Offsets
    passages: Ids
    scores: Offsets
    firsts: Offsets


@dataclass(frozen=True)
class NgramIndex:
    """Passages by some of their word trigrams.

    The score of a stretch of a document against a passage is the number of words they have in
    common, in order, less the edits between them: words replaced, left out and put in. Words of
    the passage before and after the stretch are left out too if it is a ``whole`` one [passages];
    of others the best part counts. A passage is found where its score is ``least`` [passages] or
    more.

    Found for certain is a stretch that has the passage's words but for replaced ones, if 3 in a row
    are the same (4 in passages of 12 words, 6 in those of 20), if the rarest trigram of those is
    indexed, and if the score stays within 4 of its best. Words put in or left out may shift the
    rest by 3 words, by 8 in passages of 48, if 4 words, or an eighth of the passage, remain on one
    side of them.
    """

    vocabulary: Vocabulary
    arrays: _Arrays

    @classmethod
    def build(
        cls,
        vocabulary: Vocabulary,
        words: Words,
        whole: Flags,
        least: Offsets,
        owners: Offsets,
        max_owners: int,
    ) -> NgramIndex:
        """Index passages, given as ``words``, by trigrams that at most ``max_owners`` different
        ``owners`` [passages] have."""
        passage, at, keys = _trigrams(words)
        common = _owners_of(keys, owners[passage])
        chosen = np.zeros(len(passage), np.bool_)
        _choose(passage, common, np.diff(words.starts), chosen)
        chosen &= common <= max_owners
        passage, at, keys = passage[chosen], at[chosen], keys[chosen]
        order = np.argsort(keys, kind="stable")
        unique, first = np.unique(keys[order], return_index=True)
        slots = np.full(slots_for(len(unique)), -1, np.int32)
        fill_slots(unique, slots)
        bits = np.zeros(max(1, slots_for(len(unique) * _FILTER_BITS // 2) // 64), np.uint64)
        _set_bits(unique, bits)
        sizes = np.diff(words.starts)
        enough = np.where(sizes < _FOUR_IN_A_ROW, 3, np.maximum(4, sizes // 8))
        arrays = _Arrays(
            words.ids,
            words.starts,
            whole,
            least.astype(np.int64),
            enough,
            unique,
            np.append(first, len(keys)).astype(np.int64),
            _places(words, passage[order], at[order]),
            slots,
            bits,
        )
        return cls(vocabulary, arrays)

    @property
    def indexed(self) -> Flags:
        """Passages [passages] that can be found: not all of their trigrams are too common."""
        found: Flags = np.bincount(self.arrays.places[:, 0], minlength=len(self.arrays.least)) > 0
        return found

    def search(self, text: pa.LargeStringArray) -> tuple[PassageHits, pa.LargeStringArray]:
        """What every row of ``text`` holds, and its rows normalised."""
        normalised = normalise(text)
        data, rows = text_buffers(normalised)
        scratch = self._scratch(int(np.diff(rows).max(initial=0)))
        found = np.empty((5, len(self.arrays.least) + 1_024), np.int64)
        row = count = 0
        while row < len(normalised):
            lexicon = self.vocabulary.arrays
            row, count = _search(data, rows, row, lexicon, self.arrays, scratch, found, count)
            if row < len(normalised):
                found = np.concatenate([found, np.empty_like(found)], axis=1)
        return PassageHits(*found[:, :count].copy()), normalised

    def _scratch(self, longest: int) -> _Scratch:
        passages = len(self.arrays.least)
        room, width = longest + 1, 2 * _MAX_BAND + 3
        return _Scratch(
            np.empty(room, np.int32),
            np.empty(room, np.int64),
            np.empty(room, np.int64),
            np.full((passages, 2), -1, np.int64),
            np.zeros((passages, 3), np.int64),
            np.empty(passages, np.int32),
            np.empty(width, np.int64),
            np.empty(width, np.int64),
        )


def _trigrams(words: Words) -> tuple[Offsets, Offsets, Hashes]:
    """Every trigram: its passage, its position in all words, its key."""
    sizes = np.diff(words.starts)
    passage = np.repeat(np.arange(len(words)), np.maximum(sizes - 2, 0))
    at = np.flatnonzero(np.arange(len(words.ids)) + 2 < np.repeat(words.starts[1:], sizes))
    ids = words.ids.astype(np.uint64)
    return passage, at, _key(ids[at], ids[at + 1], ids[at + 2])


def _owners_of(keys: Hashes, owners: Offsets) -> Offsets:
    """How many different owners each key [keys] has."""
    _, kind = np.unique(keys, return_inverse=True)
    pairs = np.unique(np.stack([kind, owners], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=1)[kind]


@numba.njit(cache=True, nogil=True)
def _choose(passage: Offsets, common: Offsets, sizes: Offsets, chosen: Flags) -> None:
    """Choose trigrams so that every run of them has one, the rarest where there is a choice; how
    long runs are is set by the length of the passage."""
    at = 0
    while at < len(passage):
        size = sizes[passage[at]]
        run = 1 if size < _FOUR_IN_A_ROW else 2 if size < _SIX_IN_A_ROW else 4
        best = at
        for k in range(at, min(at + run, len(passage))):
            if passage[k] == passage[at] and common[k] <= common[best]:
                best = k
        # At the end of a passage there may be fewer than a run.
        chosen[best] = True
        at = best + 1


def _places(words: Words, passage: Offsets, at: Offsets) -> Ids:
    """Passage, position, and the words next to the trigram where one of them must agree."""
    starts, stops, last = words.starts[passage], words.starts[passage + 1], len(words.ids) - 1
    before = np.where(at > starts, words.ids[at - 1], _NONE)
    after = np.where(at + 3 < stops, words.ids[np.minimum(at + 3, last)], _NONE)
    before[stops - starts < _FOUR_IN_A_ROW] = _ANY
    return np.stack([passage, at - starts, before, after], axis=1).astype(np.int32)


@numba.vectorize(cache=True)
def _key(one: np.uint64, two: np.uint64, three: np.uint64) -> np.uint64:
    return (one << (_BITS + _BITS)) | (two << _BITS) | three


@numba.njit(cache=True, nogil=True)
def _set_bits(keys: Hashes, bits: Hashes) -> None:
    for key in keys:
        slot = spread(key) & np.uint64(len(bits) * 64 - 1)
        bits[slot >> np.uint64(6)] |= np.uint64(1) << (slot & np.uint64(63))


@numba.njit(cache=True, forceinline=True)
def _find(key: np.uint64, keys: Hashes, slots: Ids, bits: Hashes) -> int:
    """The place of ``key`` in ``keys``, or −1."""
    value = spread(key)
    bit = value & np.uint64(len(bits) * 64 - 1)
    if not (bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
        return -1
    slot = value & np.uint64(len(slots) - 1)
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
    return int(slots[slot])


# Loops in what is called for every trigram have no ``break``: with one, numba counts references to
# arrays at every call, which takes longer than all the rest.


@numba.njit(cache=True, forceinline=True)
def _extend(ids: Ids, count: int, words: Ids, start: int, stop: int, at: int, j: int) -> int:
    """The best score around document word ``j`` = passage word ``at``, word against word."""
    score = right = 0
    k, end = 0, min(stop - at, count - j)
    while k < end and score >= right - _DROP:
        score += 1 if words[at + k] == ids[j + k] else -1
        right = max(right, score)
        k += 1
    score = left = 0
    k, end = 1, min(at - start, j)
    while k <= end and score >= left - _DROP:
        score += 1 if words[at - k] == ids[j - k] else -1
        left = max(left, score)
        k += 1
    return right + left


@numba.njit(cache=True, nogil=True)
def _align(scratch: _Scratch, count: int, index: _Arrays, passage: int, diagonal: int) -> None:
    """Note the best stretch near ``diagonal`` (document less passage position) if it is better
    than what the passage has."""
    start, size = index.starts[passage], index.starts[passage + 1] - index.starts[passage]
    whole = np.int64(index.whole[passage])
    band = min(_MAX_BAND, 2 + size // 8)
    ids, scores, firsts = scratch.ids, scratch.scores, scratch.firsts
    best, first, last = scratch.best[passage, 0], scratch.best[passage, 1], scratch.best[passage, 2]
    scores[:] = _LOW
    for i in range(size):
        word, left_out_before, left_out_after = index.words[start + i], -i * whole, i + 1 - size
        # Slot k + 1 is for document word j; it still holds the score of words i - 1 and j - 1.
        for k in range(2 * band + 1):
            j = i + diagonal - band + k
            if j < 0 or j >= count:
                scores[k + 1] = _LOW
                continue
            score, begin = scores[k + 1], firsts[k + 1]
            if score <= left_out_before:
                score, begin = left_out_before, j
            score += 1 if ids[j] == word else -1
            if scores[k + 2] - 1 > score:
                score, begin = scores[k + 2] - 1, firsts[k + 2]
            if scores[k] - 1 > score:
                score, begin = scores[k] - 1, firsts[k]
            scores[k + 1], firsts[k + 1] = score, begin
            if score + left_out_after * whole > best:
                best, first, last = score + left_out_after * whole, begin, j
    scratch.best[passage, 0], scratch.best[passage, 1], scratch.best[passage, 2] = best, first, last


@numba.njit(cache=True, nogil=True)
def _search_row(row: int, count: int, index: _Arrays, scratch: _Scratch) -> int:
    """Try all passages that share a trigram with the row; returns how many there are."""
    ids, tried, best = scratch.ids, scratch.tried, scratch.best
    places, starts = index.places, index.starts
    keys, slots, bits, first = index.keys, index.slots, index.filter, index.first
    passages = 0
    for j in range(count - 2):
        if ids[j] < 0 or ids[j + 1] < 0 or ids[j + 2] < 0:
            continue
        key = _key(np.uint64(ids[j]), np.uint64(ids[j + 1]), np.uint64(ids[j + 2]))
        found = _find(key, keys, slots, bits)
        if found < 0:
            continue
        before, after = ids[j - 1] if j else UNKNOWN, ids[j + 3] if j + 3 < count else UNKNOWN
        for k in range(first[found], first[found + 1]):
            if places[k, 2] != _ANY and places[k, 2] != before and places[k, 3] != after:
                continue
            passage, at = places[k, 0], places[k, 1]
            if tried[passage, 0] != row:
                scratch.passages[passages] = passage
                passages += 1
                best[passage, 0] = 0
            elif tried[passage, 1] == j - at:
                continue
            tried[passage, 0], tried[passage, 1] = row, j - at
            start, stop = starts[passage], starts[passage + 1]
            if best[passage, 0] < stop - start:
                extended = _extend(ids, count, index.words, start, stop, start + at, j)
                if extended >= index.enough[passage]:
                    _align(scratch, count, index, passage, j - at)
    return passages


@numba.njit(cache=True, nogil=True)
def _search(
    data: Bytes,
    rows: Offsets,
    row: int,
    lexicon: tuple[Hashes, Bytes, Offsets, Ids],
    index: _Arrays,
    scratch: _Scratch,
    found: Offsets,
    count: int,
) -> tuple[int, int]:
    """Search rows from ``row`` on; returns where it stopped for want of room, and the hits."""
    best = scratch.best
    keys, words, offsets, slots = lexicon
    while row < len(rows) - 1 and count + len(index.least) <= found.shape[1]:
        begin = rows[row]
        length = read_row(
            *(data, begin, rows[row + 1], keys, words, offsets, slots),
            *(scratch.ids, scratch.begins, scratch.ends),
        )
        for k in range(_search_row(row, length, index, scratch)):
            passage = scratch.passages[k]
            if best[passage, 0] >= index.least[passage]:
                found[0, count], found[1, count], found[2, count] = row, passage, best[passage, 0]
                found[3, count] = scratch.begins[best[passage, 1]] - begin
                found[4, count] = scratch.ends[best[passage, 2]] - begin
                count += 1
        row += 1
    return row, count
