"""Exact quantiles of scores by documents or bytes, per group, in two passes over them.

A 32-bit float has an integer key of the same order. The first pass counts how much lies in each of
the 65,536 bins of a key's upper half, which gives the bin that holds a quantile; the second pass
counts that bin by the lower half (docs/adr/0009). Nothing is rounded, so the answer does not depend
on the order of documents. Memory: 24 bytes for every bin that is not empty (at most 1.6 MB a
group, and never more than a bin for each document), and as much again while counting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Weight = Literal["documents", "bytes"]
Longs = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

HALF = 16
FEWEST_TO_MERGE = 2**20


@dataclass(frozen=True)
class ScoreBatch:
    """Documents that have a score [rows]: a number for their group, the key of the score, and the
    bytes of their text."""

    group: Longs
    key: Longs
    bytes: Longs


# Gives the same documents every time it is called.
ScoreBatches = Callable[[], Iterable[ScoreBatch]]


def keys_of(scores: Scores) -> Longs:
    """Integers [rows] from 0 to 2^32 − 1 in the order of ``scores`` [rows], which are not NaN.

    Equal scores have equal keys, −0 and 0 too.
    """
    bits = (scores + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.int64)


def scores_of(keys: Longs) -> Scores:
    """The scores [rows] that have these ``keys`` [rows]."""
    bits = keys.astype(np.uint32)
    return np.where(bits >> 31, bits & np.uint32((1 << 31) - 1), ~bits).view(np.float32)


@dataclass(frozen=True)
class Histogram:
    """How much there is by key. ``keys`` [n] ascend; ``documents`` and ``bytes`` [n + 1] are the
    sums over all keys before."""

    keys: Longs
    documents: Longs
    bytes: Longs

    def between(self, low: Longs, high: Longs) -> tuple[Longs, Longs]:
        """Where the keys from ``low`` up to ``high`` (exclusive) begin and end."""
        return np.searchsorted(self.keys, low), np.searchsorted(self.keys, high)


class HistogramBuilder:
    """Adds up documents and bytes by key."""

    def __init__(self) -> None:
        nothing = np.empty(0, np.int64)
        self._parts = [(nothing, nothing, nothing)]
        self._pending = 0

    def add(self, keys: Longs, sizes: Longs) -> None:
        self._parts.append((keys, np.ones_like(sizes), sizes))
        self._pending += len(keys)
        # Never more waiting than is settled: each document is sorted a few times at most.
        if self._pending > max(FEWEST_TO_MERGE, len(self._parts[0][0])):
            self._merge()

    def build(self) -> Histogram:
        self._merge()
        keys, documents, sizes = self._parts[0]
        return Histogram(keys, _before(documents), _before(sizes))

    def _merge(self) -> None:
        keys, documents, sizes = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(first):
            documents = np.add.reduceat(documents[order], first)
            sizes = np.add.reduceat(sizes[order], first)
        self._parts, self._pending = [(keys[first], documents, sizes)], 0


@dataclass(frozen=True)
class GroupQuantiles:
    """How documents rank by score within their group.

    ``groups`` [groups] are those that have documents, ascending. ``cuts`` [groups, shares] are the
    keys of the thresholds: the highest score that a document of the group has, so that those with
    this score or a higher one make up the share at least. The lowest score where a group weighs
    nothing. ``needs`` [groups, shares] are the documents or bytes that make up the share.
    ``lowest`` and ``highest`` [groups] are the keys of the group's extreme scores.
    """

    groups: Longs
    cuts: Longs
    needs: Longs
    lowest: Longs
    highest: Longs
    upper: Histogram
    whole: Histogram

    @classmethod
    def of(
        cls,
        stream: ScoreBatches,
        shares: Sequence[Fraction],
        weight: Weight,
        fixed: Sequence[int] = (),
    ) -> GroupQuantiles:
        """``shares`` are above 0 and at most 1. ``fixed`` are keys that ``at_or_above`` shall
        know beside the cuts."""
        builder = HistogramBuilder()
        for part in stream():
            builder.add(part.group << HALF | part.key >> HALF, part.bytes)
        upper = builder.build()
        groups = np.unique(upper.keys >> HALF)
        begin, end = upper.between(groups << HALF, groups + 1 << HALF)
        mass: Longs = getattr(upper, weight)
        needs = _needs(mass[end] - mass[begin], shares)
        found = _highest(mass, begin[:, None], end[:, None], needs)
        bins, first, last = upper.keys[found], upper.keys[begin], upper.keys[end - 1]
        known = [groups << HALF | key >> HALF for key in fixed]
        wanted = np.unique(np.concatenate([bins.ravel(), first, last, *known]))
        whole = _count_in(stream, wanted)
        above = mass[end][:, None] - mass[found + 1]
        begin, end = whole.between(bins << HALF, bins + 1 << HALF)
        mass = getattr(whole, weight)
        cuts = whole.keys[_highest(mass, begin, end, needs - above)]
        lowest = whole.keys[whole.between(first << HALF, first + 1 << HALF)[0]]
        highest = whole.keys[whole.between(last << HALF, last + 1 << HALF)[1] - 1]
        cuts, lowest, highest = (keys & 0xFFFFFFFF for keys in (cuts, lowest, highest))
        return cls(groups, cuts, needs, lowest, highest, upper, whole)

    def at_or_above(self, keys: Longs) -> tuple[Longs, Longs]:
        """Documents and bytes at or above ``keys`` [groups], which are cuts or ``fixed``."""
        bins = self.groups << HALF | keys >> HALF
        ranges = (
            (self.upper, self.upper.between(bins + 1, self.groups + 1 << HALF)),
            (self.whole, self.whole.between(self.groups << 2 * HALF | keys, bins + 1 << HALF)),
        )
        documents = sum(t.documents[end] - t.documents[begin] for t, (begin, end) in ranges)
        sizes = sum(t.bytes[end] - t.bytes[begin] for t, (begin, end) in ranges)
        return np.asarray(documents), np.asarray(sizes)

    def totals(self) -> tuple[Longs, Longs]:
        """Documents and bytes [groups] that have a score."""
        begin, end = self.upper.between(self.groups << HALF, self.groups + 1 << HALF)
        documents, sizes = self.upper.documents, self.upper.bytes
        return documents[end] - documents[begin], sizes[end] - sizes[begin]


def _count_in(stream: ScoreBatches, bins: Longs) -> Histogram:
    """By group and whole key, what lies in ``bins`` [n] (group and upper half), which ascend."""
    builder = HistogramBuilder()
    for part in stream():
        if len(bins):
            here = part.group << HALF | part.key >> HALF
            place = np.minimum(np.searchsorted(bins, here), len(bins) - 1)
            rows = np.flatnonzero(bins[place] == here)
            builder.add(part.group[rows] << 2 * HALF | part.key[rows], part.bytes[rows])
    return builder.build()


def _needs(totals: Longs, shares: Sequence[Fraction]) -> Longs:
    """``shares`` of ``totals`` [groups, shares], rounded up, 1 at least; in integers of Python,
    for the products may exceed 64 bits."""
    needs = [
        [max(1, -(-share.numerator * total // share.denominator)) for share in shares]
        for total in totals.tolist()
    ]
    return np.array(needs, np.int64).reshape(len(totals), len(shares))


def _highest(before: Longs, begin: Longs, end: Longs, needs: Longs) -> Longs:
    """The last place from ``begin`` up to ``end`` from which on there is as much as ``needs``."""
    last = np.searchsorted(before, before[end] - needs, side="right") - 1
    return np.maximum(last, begin)


def _before(amounts: npt.NDArray[Any]) -> Longs:
    return np.concatenate([[0], np.cumsum(amounts, dtype=np.int64)])
