"""What spaCy's English tokenizer looks for, read off its own expressions into tables.

Nothing here is a list of characters: every class is found by asking the tokenizer's compiled
expressions about each code point below LIMIT in the places where the class matters, so another
release of spaCy gives other tables and not other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.hashing.keys import Slots, empty_slots, enter, find
from kernels.text.utf8 import Bytes

SHAPES = 4_096
LIMIT = 0x3000  # code points from here on (CJK, emoji) are left to spaCy

# Kinds of characters, by where they matter.
PREFIX = np.uint16(1)  # a prefix by itself
SUFFIX = np.uint16(2)  # a suffix by itself
INFIX = np.uint16(4)  # an infix wherever it stands
ENDS_DOTTED = np.uint16(8)  # before a final dot, it lets the dot be cut off
UPPER = np.uint16(16)  # two of them do, too
BEFORE_DOT = np.uint16(32)  # with AFTER_DOT: makes the dot between them an infix
AFTER_DOT = np.uint16(64)
ALPHA = np.uint16(128)  # makes a comma, hyphen, slash between two of them an infix
LABEL = np.uint16(256)  # stands in the name of a host
TOP = np.uint16(512)  # stands in a top-level domain

Kinds = npt.NDArray[np.uint16]


class Strings(NamedTuple):
    """A set of byte strings for kernels: string i is ``data[ends[i]:ends[i + 1]]``, found by
    ``slots`` (kernels.hashing.keys). None is longer than ``longest[0]`` bytes, and none is of a
    ``shape`` for which ``shapes`` [SHAPES] is false."""

    slots: Slots
    ends: npt.NDArray[np.int64]
    data: Bytes
    longest: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.bool_]


class Rules(NamedTuple):
    """``kinds`` [LIMIT]; ``tails`` are what is cut off after a digit (units, currencies, "+");
    special case i is ``specials`` i, cut into pieces of ``piece_sizes[piece_starts[i]:…]`` bytes.
    Where the second phase looks for it, the first alone cuts it into tokens of
    ``phrase_sizes[phrase_starts[i]:…]`` bytes; of these, no case has more than
    ``longest_phrase[0]``.
    """

    kinds: Kinds
    tails: Strings
    specials: Strings
    piece_starts: npt.NDArray[np.int64]
    piece_sizes: npt.NDArray[np.int64]
    phrase_starts: npt.NDArray[np.int64]
    phrase_sizes: npt.NDArray[np.int64]
    longest_phrase: npt.NDArray[np.int64]


@njit(cache=True, forceinline=True)
def shape(data: Bytes, start: int, end: int) -> int:
    """A cheap number [SHAPES] of ``data[start:end]``, by its length, first and last byte."""
    return int((7 * (end - start) ^ 131 * data[start] ^ 31 * data[end - 1]) & (SHAPES - 1))


@njit(cache=True)
def lookup(known: Strings, data: Bytes, start: int, end: int) -> int:
    """The number of ``data[start:end]`` among ``known``, or -1."""
    if start == end or end - start > known.longest[0]:
        return -1
    if not known.shapes[shape(data, start, end)]:
        return -1
    return int(max(-1, find(known.slots, known.ends, known.data, data, start, end)))


def strings(values: Iterable[str]) -> Strings:
    """The set of ``values`` (none empty), numbered in their order."""
    encoded = [value.encode() for value in values]
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    slots = empty_slots(1 << len(encoded).bit_length())
    shapes = np.zeros(SHAPES, dtype=np.bool_)
    for number, (start, end) in enumerate(pairwise(ends.tolist())):
        slot = -1 - find(slots, ends, data, data, start, end)
        enter(slots, slot, number, data, start, end)
        shapes[shape(data, start, end)] = True
    longest = np.array([max(map(len, encoded), default=0)])
    return Strings(slots, ends, data, longest, shapes)


def read_rules(tokenizer: Any, phrases: Mapping[str, Sequence[str]]) -> Rules:
    """The tables of ``spacy.blank("en").tokenizer``; ``phrases`` are the special cases that its
    second phase looks for, as the first cuts them."""
    from spacy.lang.char_classes import LIST_CURRENCY, LIST_UNITS
    from spacy.symbols import ORTH

    specials = sorted(tokenizer.rules)
    pieces = [[piece[ORTH] for piece in tokenizer.rules[special]] for special in specials]
    piece_starts, piece_sizes = _sizes(pieces)
    split = [phrases.get(special, []) for special in specials]
    phrase_starts, phrase_sizes = _sizes(split)
    return Rules(
        kinds=_kinds(tokenizer),
        tails=strings(dict.fromkeys([*_unescaped(LIST_CURRENCY), *_unescaped(LIST_UNITS), "+"])),
        specials=strings(specials),
        piece_starts=piece_starts,
        piece_sizes=piece_sizes,
        phrase_starts=phrase_starts,
        phrase_sizes=phrase_sizes,
        longest_phrase=np.array([max(map(len, split))]),
    )


def _sizes(rows: Sequence[Sequence[str]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each row begins among the sizes in bytes of all its texts, and these sizes."""
    sizes = [len(text.encode()) for row in rows for text in row]
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return starts, np.array(sizes, dtype=np.int64)


def _unescaped(expressions: Sequence[str]) -> list[str]:
    """The texts that these expressions without operators match."""
    return [expression.replace("\\", "") for expression in expressions]


def _kinds(tokenizer: Any) -> Kinds:
    kinds = np.zeros(LIMIT, dtype=np.uint16)
    for kind, has in _questions(tokenizer).items():
        for code_point in range(LIMIT):
            if has(chr(code_point)):
                kinds[code_point] |= kind
    # What makes a plus or a dot a prefix depends on what follows; kernels know how.
    kinds[[ord("+"), ord(".")]] &= ~(PREFIX | SUFFIX)
    return kinds


def _questions(tokenizer: Any) -> dict[np.uint16, Callable[[str], bool]]:
    """For each kind, whether a character is of it. NUL stands for a character of no kind."""
    prefix, suffix = tokenizer.prefix_search, tokenizer.suffix_search
    url = tokenizer.url_match

    def splits(text: str, at: int) -> bool:
        return any(match.span() == (at, at + 1) for match in tokenizer.infix_finditer(text))

    def cuts_dot(text: str) -> bool:
        found = suffix(text)
        return found is not None and found.start() == len(text) - 1

    return {
        PREFIX: lambda char: prefix(char) is not None,
        SUFFIX: lambda char: suffix(char) is not None,
        INFIX: lambda char: splits(f"\0{char}\0", 1),
        ENDS_DOTTED: lambda char: cuts_dot(f"\0{char}."),
        UPPER: lambda char: cuts_dot(f"{char}A."),
        BEFORE_DOT: lambda char: splits(f"{char}.A", 1),
        AFTER_DOT: lambda char: splits(f"a.{char}", 1),
        ALPHA: lambda char: splits(f"a,{char}", 1),
        LABEL: lambda char: url(f"{char}.com") is not None,
        TOP: lambda char: url(f"a.{char}{char}") is not None,
    }
