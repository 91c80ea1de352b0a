"""Many strings looked for in one pass (Aho and Corasick 1975, doi:10.1145/360825.360855)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.edits import WORD, Properties, code_point, code_point_before, properties
from kernels.text.utf8 import Bytes, Offsets, text_buffers

Numbers = npt.NDArray[np.int64]
States = npt.NDArray[np.int32]

STARTS_IN_WORD, ENDS_IN_WORD = 1, 2


@dataclass(frozen=True)
class Automaton:
    """State 0 is where nothing is begun.

    ``moves`` [states, classes of bytes] is the state after a byte, byte b being of class
    ``classes[b]``. ``entry`` [states] is the string that ends there, or -1; ``shorter`` [states]
    the next state on the way back where another one ends, or 0. ``sizes`` [strings] are in bytes,
    ``edges`` [strings] which ends are letters, digits or "_".
    """

    classes: Bytes
    moves: States
    entry: States
    shorter: States
    sizes: Numbers
    edges: Bytes


@dataclass(frozen=True)
class Hits:
    """``counts`` [rows] of (place, string) pairs; ``first`` [rows] is the string that begins
    first, the longest of several, or -1."""

    counts: Numbers
    first: Numbers


def automaton_bytes(strings: Sequence[str]) -> int:
    """At most how much memory ``automaton`` would take."""
    encoded = [string.encode() for string in strings]
    return 4 * sum(map(len, encoded)) * (len({byte for raw in encoded for byte in raw}) + 1)


def automaton(strings: Sequence[str]) -> Automaton:
    """Of distinct strings, none of them empty."""
    encoded = [string.encode() for string in strings]
    classes = np.zeros(256, dtype=np.uint8)
    used = sorted({byte for raw in encoded for byte in raw})
    classes[used] = np.arange(1, len(used) + 1)
    sizes = np.array([len(raw) for raw in encoded], dtype=np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    data = np.frombuffer(b"".join(encoded) or b"\0", dtype=np.uint8)
    moves = np.zeros((bounds[-1] + 1, len(used) + 1), dtype=np.int32)
    entry = np.full(len(moves), -1, dtype=np.int32)
    shorter = np.zeros(len(moves), dtype=np.int32)
    states = _grow(data, bounds, classes, moves, entry)
    _link(states, moves, entry, shorter)
    known = properties()
    edges = [
        STARTS_IN_WORD * bool(known[ord(s[0])] & WORD)
        + ENDS_IN_WORD * bool(known[ord(s[-1])] & WORD)
        for s in strings
    ]
    return Automaton(
        classes,
        moves[:states].copy(),
        entry[:states].copy(),
        shorter[:states].copy(),
        sizes,
        np.array(edges, dtype=np.uint8),
    )


@njit(cache=True)
def _grow(data: Bytes, bounds: Numbers, classes: Bytes, moves: States, entry: States) -> int:
    """Makes the tree of all strings; the number of its nodes."""
    states = 1
    for number in range(len(bounds) - 1):
        state = 0
        for at in range(bounds[number], bounds[number + 1]):
            kind = classes[data[at]]
            if moves[state, kind] == 0:
                moves[state, kind] = states
                states += 1
            state = moves[state, kind]
        entry[state] = number
    return states


@njit(cache=True)
def _link(states: int, moves: States, entry: States, shorter: States) -> None:
    """Turns the tree into the automaton, nearest nodes first."""
    back = np.zeros(states, dtype=np.int32)
    queue = np.empty(states, dtype=np.int32)
    first, last = 0, 0
    for kind in range(moves.shape[1]):
        if moves[0, kind]:
            queue[last] = moves[0, kind]
            last += 1
    while first < last:
        state = queue[first]
        first += 1
        behind = back[state]
        shorter[state] = behind if entry[behind] >= 0 else shorter[behind]
        for kind in range(moves.shape[1]):
            child = moves[state, kind]
            if child == 0:
                moves[state, kind] = moves[behind, kind]
            else:
                back[child] = moves[behind, kind]
                queue[last] = child
                last += 1


def find_all(text: pa.LargeStringArray, found: Automaton, *, whole_words: bool) -> Hits:
    """Where the strings are in each text. With ``whole_words`` not where an edge that is a letter,
    digit or "_" has another one beside it."""
    data, offsets = text_buffers(text)
    hits = Hits(np.zeros(len(text), np.int64), np.full(len(text), -1, np.int64))
    _find(
        data,
        offsets,
        found.classes,
        found.moves,
        found.entry,
        found.shorter,
        found.sizes,
        found.edges if whole_words else np.zeros_like(found.edges),
        properties(),
        hits.counts,
        hits.first,
    )
    return hits


@njit(cache=True)
def _find(
    data: Bytes,
    offsets: Offsets,
    classes: Bytes,
    moves: States,
    entry: States,
    shorter: States,
    sizes: Numbers,
    edges: Bytes,
    known: Properties,
    counts: Numbers,
    first: Numbers,
) -> None:
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        state = 0
        earliest, longest = end, 0
        for at in range(begin, end):
            state = moves[state, classes[data[at]]]
            node = state if entry[state] >= 0 else shorter[state]
            while node:
                number = entry[node]
                size = sizes[number]
                start = at + 1 - size
                if _is_whole(data, begin, start, at + 1, end, edges[number], known):
                    counts[row] += 1
                    if start < earliest or (start == earliest and size > longest):
                        earliest, longest, first[row] = start, size, number
                node = shorter[node]


@njit(cache=True, forceinline=True)
def _is_whole(
    data: Bytes, begin: int, start: int, stop: int, end: int, edges: int, known: Properties
) -> bool:
    if edges & STARTS_IN_WORD and start > begin and known[code_point_before(data, start)] & WORD:
        return False
    return not (edges & ENDS_IN_WORD and stop < end and known[code_point(data, stop)] & WORD)
