"""Which of many documents hold a large part of one of a few others, counted exactly.

Texts become sets of word n-grams (shingles); the few are indexed by shingle, and every shared
shingle of each of the many is counted. No sampling and no sketch: what is missed differs in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.hashing.hashing import Hashes, xxh64
from kernels.text.normalisation import normalise
from kernels.text.unspaced import unspaced_width
from kernels.text.utf8 import Bytes, Offsets, text_buffers

Rows = npt.NDArray[np.int32]
Shares = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NGRAM = 5
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_BITS_PER_SHINGLE = 16  # of the filter that spares a search for nearly all foreign shingles


@dataclass(frozen=True)
class Shingles:
    """Hashes of word n-grams: those of row i are ``values[starts[i]:starts[i + 1]]``, in order.

    ``starts`` [rows + 1] begins at 0. Repeated n-grams are repeated.
    """

    values: Hashes
    starts: Offsets

    def __len__(self) -> int:
        return len(self.starts) - 1


def shingles(text: pa.LargeStringArray, ngram: int = NGRAM) -> Shingles:
    """Shingles of the normalised rows of ``text``; every row has at least one.

    A row of fewer than ``ngram`` words (none included) is one shingle of all it has, so such rows
    share it when their normalised texts are equal. In scripts written without spaces (Thai, Lao,
    Khmer, Burmese, Chinese, Japanese) every character counts as a word.
    """
    data, offsets = text_buffers(normalise(text))
    starts = np.zeros(len(text) + 1, np.int64)
    _count(data, offsets, ngram, starts)
    values = np.empty(starts[-1], np.uint64)
    _fill(data, offsets, ngram, starts, values)
    return Shingles(values, starts)


@dataclass(frozen=True)
class Overlaps:
    """Per row [rows] the entry it is most like (−1 when it is like none), and how much.

    ``share`` is the part of the entry's distinctive shingles that the row holds. ``jaccard`` is the
    Jaccard similarity of all their shingles, or 0 when that is below 0.5. The entry is the one with
    the largest of these two numbers, the first on a tie.
    """

    entry: Rows
    share: Shares
    jaccard: Shares


@dataclass(frozen=True)
class OverlapIndex:
    """The indexed side: distinct shingles in ascending order and which entries hold each.

    Entries of ``values[i]`` are ``entries[starts[i]:starts[i + 1]]``. ``common`` [values] marks
    shingles that are not distinctive. ``sizes`` [entries] counts distinct shingles, ``rare`` those
    that are distinctive. ``bits`` has a set bit for the low bits of every shingle.
    """

    values: Hashes
    starts: Offsets
    entries: Rows
    common: Flags
    sizes: Offsets
    rare: Offsets
    bits: Hashes

    @classmethod
    def build(cls, few: Shingles, common: Hashes | None = None) -> OverlapIndex:
        """Index the rows of ``few``, which become entries 0, 1, …; shingles in ``common`` are not
        distinctive."""
        values, owners = distinct(few)
        unique, first = np.unique(values, return_index=True)
        words = 1 << max(0, (len(unique) * _BITS_PER_SHINGLE // 64).bit_length())
        bits = np.zeros(words, np.uint64)
        slots = unique & np.uint64(words * 64 - 1)
        np.bitwise_or.at(bits, slots >> np.uint64(6), np.uint64(1) << (slots & np.uint64(63)))
        known = np.isin(unique, common if common is not None else np.empty(0, np.uint64))
        starts = np.append(first, len(values)).astype(np.int64)
        is_rare = ~np.repeat(known, np.diff(starts))
        return cls(
            values=unique,
            starts=starts,
            entries=owners,
            common=known,
            sizes=np.bincount(owners, minlength=len(few)).astype(np.int64),
            rare=np.bincount(owners[is_rare], minlength=len(few)).astype(np.int64),
            bits=bits,
        )

    def compare(self, many: Shingles) -> Overlaps:
        """What each row of ``many`` is most like."""
        found = Overlaps(
            np.full(len(many), -1, np.int32),
            np.zeros(len(many), np.float64),
            np.zeros(len(many), np.float64),
        )
        _compare(
            *(self.values, self.starts, self.entries, self.common, self.sizes, self.rare),
            *(self.bits, many.values, many.starts, found.entry, found.share, found.jaccard),
        )
        return found

    def frequencies(self, many: Shingles) -> Offsets:
        """For each indexed shingle [values]: how many rows of ``many`` hold it."""
        counts = np.zeros(len(self.values), np.int64)
        _frequencies(self.values, self.bits, many.values, many.starts, counts)
        return counts


def distinct(few: Shingles) -> tuple[Hashes, Rows]:
    """Each shingle once per row that holds it, ascending, and that row; rows ascend within one."""
    owners = np.repeat(np.arange(len(few), dtype=np.int32), np.diff(few.starts))
    order = np.lexsort((owners, few.values))
    values, owners = few.values[order], owners[order]
    fresh = np.ones(len(values), np.bool_)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    return values[fresh], owners[fresh]


@numba.njit(cache=True, inline="always")
def _word_end(data: Bytes, at: int, stop: int) -> int:
    """Where the word that begins at ``at`` ends; ``at`` is not at a space."""
    width = unspaced_width(data, at)
    if width:
        return int(at + width)
    while at < stop and data[at] != 0x20 and not unspaced_width(data, at):
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _count(data: Bytes, offsets: Offsets, ngram: int, starts: Offsets) -> None:
    for row in range(len(offsets) - 1):
        at, stop, words = offsets[row], offsets[row + 1], 0
        while at < stop:
            if data[at] == 0x20:
                at += 1
                continue
            at = _word_end(data, at, stop)
            words += 1
        starts[row + 1] = starts[row] + max(1, words - ngram + 1)


@numba.njit(cache=True, nogil=True)
def _fill(data: Bytes, offsets: Offsets, ngram: int, starts: Offsets, values: Hashes) -> None:
    ring = np.zeros(ngram, np.uint64)
    for row in range(len(offsets) - 1):
        at, stop, words, out = offsets[row], offsets[row + 1], 0, starts[row]
        while at < stop:
            if data[at] == 0x20:
                at += 1
                continue
            end = _word_end(data, at, stop)
            ring[words % ngram] = xxh64(data, at, end, np.uint64(0))
            at = end
            words += 1
            if words >= ngram:
                values[out] = _fold(ring, words, ngram)
                out += 1
        if words < ngram:
            values[out] = _fold(ring, words, words)


@numba.njit(cache=True, inline="always")
def _fold(ring: Hashes, words: int, last: int) -> np.uint64:
    """One number from the ``last`` newest of ``words`` word hashes, oldest first."""
    state = np.uint64(last)
    for word in range(words - last, words):
        state = (state ^ ring[word % len(ring)]) * _MULTIPLIER
        state ^= state >> np.uint64(29)
    return state


@numba.njit(cache=True, inline="always")
def _find(values: Hashes, bits: Hashes, value: np.uint64) -> int:
    """The place of ``value`` in ascending ``values``, or −1."""
    slot = value & np.uint64(len(bits) * 64 - 1)
    if not (bits[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & np.uint64(1):
        return -1
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(values) and values[low] == value else -1


@numba.njit(cache=True, nogil=True)
def _frequencies(
    values: Hashes, bits: Hashes, many: Hashes, many_starts: Offsets, counts: Offsets
) -> None:
    seen_by = np.full(len(values), -1, np.int64)  # last row that held this shingle
    for row in range(len(many_starts) - 1):
        for i in range(many_starts[row], many_starts[row + 1]):
            place = _find(values, bits, many[i])
            if place >= 0 and seen_by[place] != row:
                seen_by[place] = row
                counts[place] += 1


@numba.njit(cache=True, inline="always")
def _distinct_count(values: Hashes) -> int:
    ordered = np.sort(values)
    return 1 + int(np.sum(ordered[1:] != ordered[:-1]))


@numba.njit(cache=True, nogil=True)
def _compare(
    values: Hashes,
    starts: Offsets,
    entries: Rows,
    common: Flags,
    sizes: Offsets,
    rare: Offsets,
    bits: Hashes,
    many: Hashes,
    many_starts: Offsets,
    best_entry: Rows,
    best_share: Shares,
    best_jaccard: Shares,
) -> None:
    seen_by = np.full(len(values), -1, np.int64)
    held = np.zeros(len(sizes), np.int64)  # shingles that the row shares with an entry
    held_rare = np.zeros(len(sizes), np.int64)
    touched = np.zeros(len(sizes), np.int32)
    for row in range(len(many_starts) - 1):
        entries_touched = 0
        for i in range(many_starts[row], many_starts[row + 1]):
            place = _find(values, bits, many[i])
            if place < 0 or seen_by[place] == row:
                continue
            seen_by[place] = row
            for j in range(starts[place], starts[place + 1]):
                entry = entries[j]
                if held[entry] == 0:
                    touched[entries_touched] = entry
                    entries_touched += 1
                held[entry] += 1
                held_rare[entry] += not common[place]
        size = 0
        for i in range(entries_touched):
            entry = touched[i]
            share = held_rare[entry] / rare[entry] if rare[entry] else 0.0
            jaccard = 0.0
            # Jaccard ≥ 0.5 needs half of the entry; few rows have that and must be counted.
            if 2 * held[entry] >= sizes[entry]:
                if size == 0:
                    size = _distinct_count(many[many_starts[row] : many_starts[row + 1]])
                jaccard = held[entry] / (size + sizes[entry] - held[entry])
                jaccard = jaccard if jaccard >= 0.5 else 0.0
            held[entry] = held_rare[entry] = 0
            gain = max(share, jaccard) - max(best_share[row], best_jaccard[row])
            if gain > 0 or (gain == 0 and 0 <= entry < best_entry[row]):
                best_entry[row], best_share[row], best_jaccard[row] = entry, share, jaccard
