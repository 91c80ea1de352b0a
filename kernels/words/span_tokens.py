"""Gives new spans their tokens, by the compiled rules: all spans are cut, then all tokens looked
up, then both brought together, so that each loop touches few arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.hashing.keys import EMPTY, INLINE, NUMBER_BITS, NUMBER_MASK, key_hash, key_of
from kernels.text.utf8 import Bytes, Offsets
from kernels.words.english_rules import ENDS_DOTTED, SUFFIX, Rules, shape
from kernels.words.english_specials import join_specials
from kernels.words.english_split import DOT, split_span
from kernels.words.spans import CHANGED, REFUSES, Bools, Ints, Parts, SpanArrays
from kernels.words.token_table import TokenArrays, intern


class Clashes(NamedTuple):
    """Which tokens may be parts of one special case, see kernels.words.span_tokenizer.

    ``firsts`` and ``lasts`` [tokens] number them (those beyond clash with none); ``pairs``
    [last, first] is a truth table. Token ``refused[0]`` refuses its text.
    """

    firsts: Parts
    lasts: Parts
    pairs: Bools
    refused: Ints


@njit(cache=True)
def cut_entries(
    table: SpanArrays, begin: int, rules: Rules, counts: Ints, begins: Offsets, stops: Offsets
) -> int:
    """Cuts the spans from entry ``begin`` on; the number of tokens.

    Sets where these begin and end in ``table.data``, and ``counts`` [spans] to how many each span
    has: 0 for one that only the tokenizer itself can cut.
    """
    # Locals, or every access would count references.
    data, ends, kinds, special = table.data, table.ends, rules.kinds, rules.specials.shapes
    longest = 0
    for entry in range(begin, table.used[0]):
        longest = max(longest, ends[entry + 1] - ends[entry])
    starts = np.empty(longest + 1, dtype=np.int64)
    tails = np.empty(longest + 1, dtype=np.int64)
    out = 0
    for entry in range(begin, table.used[0]):
        start, end = ends[entry], ends[entry + 1]
        # Most spans are a word, or a word and a mark.
        at = start
        while at < end and (data[at] | 0x20 >= 0x61) and (data[at] | 0x20 <= 0x7A):
            at += 1
        plain = at > start and end - at < 2 and not special[shape(data, start, end)]
        if plain and at < end:
            plain = data[at] < 0x80 and not special[shape(data, start, at)]
            dotted = kinds[data[at - 1]] & ENDS_DOTTED > 0
            plain &= dotted if data[at] == DOT else kinds[data[at]] & SUFFIX > 0
        if plain:
            begins[out], stops[out] = start, at
            if at < end:
                begins[out + 1], stops[out + 1] = at, end
            count = 1 + (at < end)
        else:
            count = max(0, split_span(rules, data, start, end, starts, tails))
            for i in range(count):
                begins[out + i] = starts[i]
                stops[out + i] = starts[i + 1] if i + 1 < count else end
        counts[entry - begin] = count
        out += count
    return out


@njit(cache=True)
def number_tokens(
    tokens: TokenArrays,
    kinds: Bytes,
    data: Bytes,
    begins: Offsets,
    stops: Offsets,
    done: int,
    ids: Ints,
) -> int:
    """Sets ``ids`` [tokens] from ``done`` on; how far it came before the table was full."""
    slots = tokens.slots
    mask = np.uint64(len(slots) - 1)
    for i in range(done, len(begins)):
        length = np.uint64(stops[i] - begins[i])
        low, high = key_of(data, begins[i], stops[i])
        slot = key_hash(low, high, length) & mask
        word = slots[slot, 2]
        while word != EMPTY and not (
            slots[slot, 0] == low and slots[slot, 1] == high and word >> NUMBER_BITS == length
        ):
            slot = (slot + np.uint64(1)) & mask
            word = slots[slot, 2]
        token = np.int64(word & NUMBER_MASK)
        if length > INLINE or word == EMPTY:
            token = np.int64(intern(tokens, kinds, data, begins[i], stops[i]))
            if token < 0:
                return i
        ids[i] = token
    return len(begins)


@njit(cache=True)
def place_tokens(
    table: SpanArrays, begin: int, counts: Ints, clashes: Clashes, clashing: Ints
) -> int:
    """Tells the entries from ``begin`` on of their tokens, which follow those in use.

    Returns how many entries were written to ``clashing``: those with tokens that may be parts of
    one special case.
    """
    ids, places, first, last = table.ids, table.places, table.first, table.last
    firsts, lasts, pairs, refused = clashes.firsts, clashes.lasts, clashes.pairs, clashes.refused[0]
    traits = table.traits
    found, at = 0, table.used[1]
    for entry in range(begin, begin + len(counts)):
        count = counts[entry - begin]
        places[entry, 0], places[entry, 1] = at, count
        before, clash, trait = np.uint16(0), False, 0
        for i in range(at, at + count):
            token = ids[i]
            known = token < len(firsts)
            number = firsts[token] if known else np.uint16(0)
            if i == at:
                first[entry] = number
            clash |= pairs[before, number]
            before = lasts[token] if known else np.uint16(0)
            trait |= REFUSES if token == refused else 0
        last[entry], traits[entry] = before, trait
        if clash:
            clashing[found] = entry
            found += 1
        at += count
    table.used[1] = at
    return found


@njit(cache=True)
def join_entries(
    table: SpanArrays,
    rules: Rules,
    tokens: TokenArrays,
    kinds: Bytes,
    refused: int,
    entries: Ints,
    done: int,
) -> int:
    """Puts special cases together in ``entries`` from number ``done`` on; how far it came before
    a table was full."""
    data, ends = table.data, table.ends
    longest = 0
    for entry in entries:
        longest = max(longest, ends[entry + 1] - ends[entry])
    starts = np.empty(longest + 1, dtype=np.int64)
    tails = np.empty_like(starts)
    for number in range(done, len(entries)):
        entry = entries[number]
        count = split_span(rules, data, ends[entry], ends[entry + 1], starts, tails)
        starts[count] = ends[entry + 1]
        count, changed = join_specials(rules, data, starts, count)
        at = table.used[1]
        if at + count > len(table.ids):
            return number
        trait = CHANGED if changed else 0
        for i in range(count):
            token = intern(tokens, kinds, data, starts[i], starts[i + 1])
            if token < 0:
                return number
            table.ids[at + i] = token
            trait |= REFUSES if token == refused else 0
        table.places[entry, 0], table.places[entry, 1] = at, count
        table.traits[entry] = trait
        table.used[1] = at + count
    return len(entries)
