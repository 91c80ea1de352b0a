"""The second phase of spaCy's tokenizer for one span, compiled: special cases that the first has
cut apart are put together again (kernels/words/span_tokenizer.py explains all of it).

Of matches that overlap the longest wins, then the first. One that loses still keeps shorter ones
from its tokens, as in spaCy.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kernels.text.utf8 import Bytes, Offsets
from kernels.words.english_rules import Rules, lookup, shape


@njit(cache=True)
def _matches(rules: Rules, data: Bytes, starts: Offsets, first: int, size: int) -> int:
    """The special case that the first phase cuts into just these ``size`` tokens, or -1."""
    special = lookup(rules.specials, data, starts[first], starts[first + size])
    if special < 0 or rules.phrase_starts[special + 1] - rules.phrase_starts[special] != size:
        return -1
    begin = rules.phrase_starts[special]
    for i in range(size):
        if starts[first + i + 1] - starts[first + i] != rules.phrase_sizes[begin + i]:
            return -1
    return int(special)


@njit(cache=True)
def join_specials(rules: Rules, data: Bytes, starts: Offsets, count: int) -> tuple[int, bool]:
    """Put special cases together among the ``count`` tokens that begin at ``starts``.

    ``starts[count]`` is where the last one ends; there is room for one token per byte. Returns
    their new number, and whether anything changed.
    """
    winners = np.full(count, -1, dtype=np.int64)
    taken = np.zeros(count, dtype=np.bool_)
    special_shapes = rules.specials.shapes
    for size in range(min(rules.longest_phrase[0], count), 1, -1):
        for first in range(count - size + 1):
            if not special_shapes[shape(data, starts[first], starts[first + size])]:
                continue
            special = _matches(rules, data, starts, first, size)
            if special >= 0:
                if not taken[first] and not taken[first + size - 1]:
                    winners[first] = special
                taken[first : first + size] = True
    old = starts[: count + 1].copy()
    out = at = 0
    changed = False
    while at < count:
        special = winners[at]
        if special < 0:
            starts[out] = old[at]
            at, out = at + 1, out + 1
            continue
        phrase = rules.phrase_starts[special + 1] - rules.phrase_starts[special]
        begin = old[at]
        for i in range(rules.piece_starts[special], rules.piece_starts[special + 1]):
            changed |= begin != old[min(at + i - rules.piece_starts[special], count)]
            starts[out] = begin
            begin += rules.piece_sizes[i]
            out += 1
        changed |= rules.piece_starts[special + 1] - rules.piece_starts[special] != phrase
        at += phrase
    starts[out] = old[count]
    return out, changed
