"""Which of several like documents stays: always the first in input order.

Both rules here depend on nothing but the order of the documents, so the same documents give the
same answer however they are split into shards and whatever ran where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


def first_occurrences(keys: Keys) -> Indices:
    """For every row of ``keys`` [rows, parts] the index of the first row equal to it [rows]."""
    rows = len(keys)
    # Stable, so that equal rows stay in input order and each run begins with the first of them.
    order = np.lexsort(keys.T)
    ordered = keys[order]
    begins = np.ones(rows, np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.empty(rows, np.int64)
    firsts[order] = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return firsts


def shared_groups(keys: Keys, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Number the values that more than one row of ``keys`` [rows] has; -1 elsewhere [rows].

    Only rows where ``among`` [rows] is true count.
    """
    groups = np.full(len(keys), -1, np.int32)
    _, inverse, counts = np.unique(keys[among], return_inverse=True, return_counts=True)
    numbers = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1).astype(np.int32)
    groups[among] = numbers[inverse]
    return groups


def largest_cluster(survivors: Indices) -> int:
    """Documents in the largest cluster; ``survivors`` [drops] has one entry per dropped document.

    The survivor itself counts; 0 when nothing is dropped.
    """
    sizes = np.unique(survivors, return_counts=True)[1]
    return int(sizes.max(initial=-1)) + 1


@dataclass(frozen=True)
class GreedyClusters:
    """Clusters around survivors.

    ``dropped[i]`` goes because of ``survivors[i]``, which comes before it and stays;
    ``similarity[i]`` is theirs. ``compared`` pairs were looked at. ``skipped`` were not, because
    their group had too many survivors already; a pair counts once per group, and only if the later
    document stayed.
    """

    dropped: Indices
    survivors: Indices
    similarity: npt.NDArray[np.float64]
    compared: int
    skipped: int


def greedy_clusters(
    groups: npt.NDArray[np.int32],
    similar: Callable[[int, int], float],
    threshold: float,
    most: int,
) -> GreedyClusters:
    """Drop every document that is like an earlier one that stays.

    ``groups`` [tables, documents] says which documents are candidates for each other: those with
    the same number (not -1) in the same table. Documents are taken in input order. One is dropped
    when ``similar(kept, it) >= threshold`` for a kept document that shares a group with it, and
    the first such kept document is its survivor.

    There are no chains: a document that is only like a dropped one stays. A transitive closure
    instead would let A ~ B ~ C drop C though A and C share nothing that matters, and such chains
    are known to swallow whole corpora (859,092 documents merged into 2).

    Of each group only the first ``most`` survivors are compared, or a group of boilerplate that is
    alike in one band alone would cost the square of its size. What that leaves out is counted.
    """
    slots = _Slots(groups, most)
    found: list[tuple[int, int, float]] = []
    compared = skipped = 0
    for document in np.flatnonzero((groups >= 0).any(axis=0)).tolist():
        shared = slots.shared(document)
        for other in slots.survivors(shared):
            compared += 1
            similarity = similar(other, document)
            if similarity >= threshold:
                found.append((document, other, similarity))
                break
        else:
            skipped += slots.keep(document, shared)
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    return GreedyClusters(
        dropped=np.array(columns[0], np.int64),
        survivors=np.array(columns[1], np.int64),
        similarity=np.array(columns[2], np.float64),
        compared=compared,
        skipped=skipped,
    )


class _Slots:
    """The survivors of every group so far, at most ``most`` each, in one array of fixed size."""

    def __init__(self, groups: npt.NDArray[np.int32], most: int) -> None:
        self._groups = groups
        sizes = [np.bincount(table[table >= 0]) for table in groups]
        self._bases = np.cumsum([0, *map(len, sizes)])
        rooms = np.minimum(np.concatenate([*sizes, np.zeros(1, np.int64)]), most)
        self._begins = np.cumsum(rooms) - rooms
        self._rooms = rooms
        self._counts = np.zeros(len(rooms), np.int64)
        self._members = np.empty(rooms.sum(), np.int64)

    def shared(self, document: int) -> list[int]:
        """The groups of ``document``."""
        numbers = self._groups[:, document]
        return list((numbers + self._bases[:-1])[numbers >= 0].tolist())

    def survivors(self, shared: list[int]) -> list[int]:
        """Those of all these groups, in input order."""
        found: set[int] = set()
        for group in shared:
            begin, count = self._begins[group], min(self._counts[group], self._rooms[group])
            found.update(self._members[begin : begin + count].tolist())
        return sorted(found)

    def keep(self, document: int, shared: list[int]) -> int:
        """Add a survivor to its groups; how many earlier ones had no room and were not seen."""
        unseen = 0
        for group in shared:
            count, room = self._counts[group], self._rooms[group]
            if count < room:
                self._members[self._begins[group] + count] = document
            unseen += max(int(count - room), 0)
            self._counts[group] += 1
        return unseen
