"""Upper bounds of what kernels/ngrams/ngrams.py counts, for all n in one pass.

Most documents repeat so little that a bound already shows it, and finding one takes a fraction of
the time of nine exact counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.text.utf8 import Bytes, Offsets
from kernels.text.wide import load64, lowest_bit, store64
from kernels.words.words import Words

Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]

_PAIRS = 10  # binary logarithm of the number of buckets that pairs of words fall into
# Two equal n-grams of at least this many bytes begin with the same _KEY bytes.
_KEY = 12
_MOST_BITS = 20  # a table of 1 MB stays in a second-level cache
_MOST_COMPARED = 16  # places a place is compared with; beyond that it is taken for a repeat


@dataclass(frozen=True)
class NgramBounds:
    """Code points that no count of Ngrams is above; ``repeated[n]`` and ``pairs`` [documents]."""

    pairs: Counts
    repeated: dict[int, Counts]

    def top(self, n: int) -> Counts | None:
        """At least ``Ngrams.top_characters(n)``; None where nothing is known (a single word).

        The words of an n-gram fall into pairs, the last one alone if need be, none of which is
        rarer than it; a pair counts for its words and one space after each.
        """
        return self.pairs * ((n + 1) // 2) if n > 1 else None


def ngram_bounds(
    words: Words, repeated: Iterable[int], rows: Offsets, *, give_up: float = 1 / 3
) -> NgramBounds:
    """Bounds for documents ``rows``: of top n-grams for any n, of ``repeated`` ones for these.

    Where more repeats per word than ``give_up`` are likely, the bound is all of the document: a
    closer one would hardly settle anything.
    """
    lengths = np.array(sorted(set(repeated)), dtype=np.int64)
    pairs = np.zeros(len(rows), dtype=np.int64)
    most = np.zeros((len(lengths), len(rows)), dtype=np.int64)
    table = words.table
    _bound(
        words.ids,
        words.starts,
        rows,
        table.data,
        table.offsets,
        lengths,
        give_up,
        pairs,
        most,
    )
    return NgramBounds(pairs, dict(zip(lengths.tolist(), most, strict=True)))


@njit(cache=True)
def _bound(
    ids: Ids,
    starts: Offsets,
    rows: Offsets,
    data: Bytes,
    offsets: Offsets,
    sizes: Counts,
    give_up: float,
    pairs: Counts,
    repeated: Counts,
) -> None:
    most = np.int64(0)
    for i in range(len(rows)):
        most = max(most, starts[rows[i] + 1] - starts[rows[i]])
    places = np.empty(most + 1, dtype=np.int64)
    keys = np.empty(most, dtype=np.uint64)
    seen = np.empty(1 << table_bits(most), dtype=np.uint8)
    glued = np.empty(0, dtype=np.uint8)
    for i in range(len(rows)):
        own = ids[starts[rows[i]] : starts[rows[i] + 1]]
        pairs[i] = _place(own, offsets, places)
        if len(sizes) and len(own) >= sizes[0]:
            room = places[len(own)] + 64
            if len(glued) < room:
                glued = np.empty(2 * room, dtype=np.uint8)
            _glue(own, data, offsets, glued, places)
            own_places = places[: len(own) + 1]
            _cover(glued, own_places, sizes, give_up, repeated[:, i], seen, keys)


@njit(cache=True)
def table_bits(words: int) -> int:
    """Binary logarithm of the size of a table that few words share a slot of."""
    bits = 6
    while 1 << bits < 16 * words and bits < _MOST_BITS:
        bits += 1
    return bits


@njit(cache=True)
def _place(ids: Ids, offsets: Offsets, places: Places) -> int:
    """Sets how many bytes the words before each have.

    Returns the bytes of the pair of words that has the most, with two spaces, times its frequency,
    or more where pairs share a bucket.
    """
    buckets = np.zeros(1 << _PAIRS, dtype=np.int64)
    end = np.int64(0)
    before, last = np.uint64(0), np.int64(0)
    for i in range(len(ids)):
        places[i] = end
        size = offsets[ids[i] + 1] - offsets[ids[i]]
        end += size
        token = np.uint64(ids[i])
        slot = (before + token * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(64 - _PAIRS)
        buckets[np.int64(slot)] += last + size + 2
        before, last = token * np.uint64(0x9E3779B97F4A7C15), size
    places[len(ids)] = end
    return int(buckets.max())


@njit(cache=True)
def _glue(ids: Ids, data: Bytes, offsets: Offsets, glued: Bytes, places: Places) -> None:
    """Writes the bytes of all words without anything between."""
    for i in range(len(ids)):
        start = offsets[ids[i]]
        at = places[i]
        size = places[i + 1] - at
        if start + 16 <= len(data) and size <= 16:
            # Bytes beyond the word are overwritten by the next, or never looked at.
            store64(glued, at, load64(data, start))
            store64(glued, at + 8, load64(data, start + 8))
        else:
            for j in range(size):
                glued[at + j] = data[start + j]
    for i in range(2):
        store64(glued, places[len(ids)] + 8 * i, np.uint64(0))


@njit(cache=True)
def _cover(
    glued: Bytes,
    places: Places,
    sizes: Counts,
    give_up: float,
    repeated: Counts,
    seen: Bytes,
    keys: Hashes,
) -> None:
    """Code points in n-grams that may repeat an earlier one, each counted once.

    Equal n-grams of _KEY bytes or more begin with the same _KEY bytes wherever their words end;
    shorter ones are looked for by all of their bytes. Where nothing has the hash of what begins
    at a word, which is told by a small table, there is no more to do.
    """
    count = len(places) - 1
    bits = table_bits(count)
    shift = np.uint64(64 - bits)
    seen[: 1 << bits] = 0
    again = 0
    for i in range(count - sizes[0] + 1):
        at = places[i]
        first, second = load64(glued, at), load64(glued, at + 4)
        keys[i] = _key(first, second, _KEY)
        again += meet(seen, keys[i] >> shift)
        for k in range(len(sizes)):
            if i + sizes[k] > count or places[i + sizes[k]] - at >= _KEY:
                break
            width = places[i + sizes[k]] - at
            again += meet(seen, _short_key(first, second, width) >> shift)
    if again == 0:
        return
    if again > give_up * count:
        repeated[:] = places[count]
        return
    doubtful = np.empty(count, dtype=np.int64)
    doubts = 0
    for i in range(count - sizes[0] + 1):
        doubtful[doubts] = i
        short = places[i + sizes[0]] - places[i] < _KEY
        doubts += short | (seen[np.int64(keys[i] >> shift)] > 1)
    _compare(glued, places, sizes, repeated, doubtful[:doubts], keys, seen, shift, again)


@njit(cache=True)
def _compare(
    glued: Bytes,
    places: Places,
    sizes: Counts,
    repeated: Counts,
    doubtful: Places,
    keys: Hashes,
    seen: Bytes,
    shift: np.uint64,
    again: int,
) -> None:
    """Find out how far what may repeat does: equal keys that were met more than once are linked."""
    count = len(places) - 1
    bits = 4
    while 1 << bits < 4 * again:
        bits += 1
    fold = np.uint64(64 - bits)
    heads = np.full(1 << bits, -1, dtype=np.int32)
    nodes = np.empty((2 * again, 2), dtype=np.int64)  # the one before with its hash, and the place
    values = np.empty(2 * again, dtype=np.uint64)
    until = np.zeros(len(sizes), dtype=np.int64)
    node = 0
    for j in range(len(doubtful)):
        i = doubtful[j]
        at = places[i]
        longest = np.int64(0)
        if seen[np.int64(keys[i] >> shift)] > 1:
            other = _link(heads, nodes, values, node, keys[i], fold, at)
            node += 1
            # No n-gram that begins here is shorter than the first.
            least = max(places[i + sizes[0]] - at, _KEY)
            most = places[min(i + sizes[-1], count)] - at
            longest = _longest(glued, nodes, values, other, keys[i], at, least, most)
        for k in range(len(sizes)):
            n = sizes[k]
            if i + n > count:
                break
            width = places[i + n] - at
            if width < _KEY:
                value = _short_key(load64(glued, at), load64(glued, at + 4), width)
                if seen[np.int64(value >> shift)] > 1:
                    other = _link(heads, nodes, values, node, value, fold, at)
                    node += 1
                    same = _longest(glued, nodes, values, other, value, at, width, width)
                    longest = max(longest, same)
            elif longest < width:
                break
            if longest >= width:
                repeated[k] += places[i + n] - places[max(i, until[k])]
                until[k] = i + n


@njit(cache=True, forceinline=True)
def _link(
    heads: Ids,
    nodes: npt.NDArray[np.int64],
    values: Hashes,
    node: int,
    value: np.uint64,
    fold: np.uint64,
    at: int,
) -> int:
    """Enter a place with its key; the last node before it that may have the same."""
    slot = np.int64(value >> fold)
    other = np.int64(heads[slot])
    nodes[node, 0], nodes[node, 1], values[node] = other, at, value
    heads[slot] = node
    return int(other)


@njit(cache=True, forceinline=True)
def _longest(
    glued: Bytes,
    nodes: npt.NDArray[np.int64],
    values: Hashes,
    other: int,
    value: np.uint64,
    at: int,
    least: int,
    most: int,
) -> int:
    """How many bytes from ``at`` on are also at an earlier place with the same key, up to ``most``.

    What is less than ``least`` may be passed over. After many places it is ``most``.
    """
    longest = compared = np.int64(0)
    ending = max(least - 8, 0)
    tail = load64(glued, at + ending)
    while other >= 0 and longest < most:
        place = nodes[other, 1]
        if values[other] == value and (least < 8 or load64(glued, place + ending) == tail):
            longest = max(longest, _common(glued, place, at, most))
        compared += 1
        if compared == _MOST_COMPARED:
            longest = np.int64(most)
        other = nodes[other, 0]
    return int(longest)


@njit(cache=True, forceinline=True)
def meet(seen: Bytes, slot: np.uint64) -> int:
    """Whether something has been in the slot, which then holds more than 1."""
    value = seen[np.int64(slot)]
    seen[np.int64(slot)] = (value << 1) | 1
    return int(value > 0)


@njit(cache=True, forceinline=True)
def _key(first: np.uint64, second: np.uint64, width: int) -> np.uint64:
    value = first * np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(32)
    value += second + np.uint64(width)
    return np.uint64(value * np.uint64(0xD6E8FEB86659FD93))


@njit(cache=True, forceinline=True)
def _short_key(first: np.uint64, second: np.uint64, width: int) -> np.uint64:
    """Of the first ``width`` of twelve bytes, of which the words hold 0 to 7 and 4 to 11."""
    if width < 8:
        first &= (np.uint64(1) << np.uint64(8 * width)) - np.uint64(1)
        return np.uint64(_key(first, np.uint64(0), width))
    second &= (np.uint64(1) << np.uint64(8 * (width - 4))) - np.uint64(1)
    return np.uint64(_key(first, second, width))


@njit(cache=True, forceinline=True)
def _common(glued: Bytes, left: int, right: int, most: int) -> int:
    """How many bytes from ``left`` and from ``right`` on are equal, up to ``most``."""
    size = 0
    while size < most:
        unlike = load64(glued, left + size) ^ load64(glued, right + size)
        if unlike:
            return int(min(size + (lowest_bit(unlike) >> 3), most))
        size += 8
    return most
