"""C4's rules on lines: which stay, what is left of them, what speaks against the text; bad words.

Most of it is not done to most text. A loop without branches tells whether a text may hold a
phrase at all; phrases are then looked for around a letter of theirs that is rare. Words are counted
only up to the least number asked for, and long ones looked for in long lines, in leaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.edits import (
    DECIMAL,
    WORD,
    Properties,
    char_width,
    code_point,
    properties,
    split,
    stripped,
)
from kernels.text.utf8 import (
    NEWLINE,
    SPACE,
    Bytes,
    Offsets,
    code_points,
    drop_space,
    find_line_break,
    line_break_width,
    skip_space,
    space_width,
    text_buffers,
)

# What may be found in a line; bits.
LOREM_IPSUM = 1
JAVASCRIPT = 2
CURLY_BRACKET = 4
POLICY = 8

# Columns of ``C4Lines.counts``. The last two are 0 or 1: the text was dropped at such a line.
COUNTS = (
    "lines",
    "kept_lines",
    "too_long_word",
    "no_terminal_punc",
    "too_few_words",
    "javascript",
    "policy",
    "lorem_ipsum",
    "curly_bracket",
)
_LINES, _KEPT, _LONG, _OPEN, _SHORT, _JAVASCRIPT, _POLICY, _LOREM_IPSUM, _CURLY = range(len(COUNTS))

# Phrases around the rare letter that they are found by. No other letter of theirs is the lower
# case of a character outside ASCII; "k" is that of the Kelvin sign, too.
_PHRASES = (
    ("lore", "m", " ipsum", LOREM_IPSUM),
    ("ter", "m", "s of use", POLICY),
    ("ja", "v", "ascript", JAVASCRIPT),
    ("pri", "v", "acy policy", POLICY),
    ("coo", "k", "ie policy", POLICY),
    ("uses coo", "k", "ies", POLICY),
    ("use of coo", "k", "ies", POLICY),
    ("use coo", "k", "ies", POLICY),
)
_ANCHORS = "mvk"
_MOST = max(len(before + after) for before, _, after, _ in _PHRASES)


def _letters(words: Sequence[str]) -> Bytes:
    """The words as rows of bytes, filled up with zeros."""
    return np.array([list(word.ljust(_MOST, "\0").encode()) for word in words], dtype=np.uint8)


_AROUND = _letters([before + after for before, _, after, _ in _PHRASES])
_BEFORE = np.array([len(before) for before, _, _, _ in _PHRASES], dtype=np.int64)
_AFTER = np.array([len(after) for _, _, after, _ in _PHRASES], dtype=np.int64)
_MEANS = np.array([bit for _, _, _, bit in _PHRASES], dtype=np.int64)
_GROUPS = np.searchsorted([_ANCHORS.index(phrase[1]) for phrase in _PHRASES], range(4))

_PLAIN, _WIDE, _BRACE, _ANCHOR = range(4)
_KELVIN = _ANCHOR + _ANCHORS.index("k")


def _kinds() -> Bytes:
    """What to do at each first byte [256] of a character; _ANCHOR + i at the i-th anchor."""
    kinds = np.full(256, _PLAIN, dtype=np.uint8)
    kinds[0xE2] = _WIDE
    kinds[ord("{")] = _BRACE
    for i, letter in enumerate(_ANCHORS):
        kinds[[ord(letter), ord(letter.upper())]] = _ANCHOR + i
    return kinds


_KINDS = _kinds()
_EDIT = np.frombuffer(b"edit]", dtype=np.uint8)
_CITATION_NEEDED = np.frombuffer(b"citation needed]", dtype=np.uint8)


class LineRules(NamedTuple):
    """What is asked of a line.

    ``watched`` are the bits of what must not be in it. ``max_word_length`` below 0 asks nothing.
    """

    remove_citations: bool
    terminal: bool
    min_words: int
    max_word_length: int
    watched: int


@dataclass(frozen=True)
class C4Lines:
    """The kept lines of some texts.

    Those of text i, joined by ``joint`` (one byte), are ``data[offsets[i]:offsets[i + 1]]``.
    ``counts`` [texts, COUNTS] count lines, in all and by what became of them, up to the one that
    dropped the text.
    """

    data: Bytes
    offsets: Offsets
    counts: npt.NDArray[np.int64]

    def count(self, name: str) -> npt.NDArray[np.int64]:
        """One of COUNTS [texts]."""
        return self.counts[:, COUNTS.index(name)]

    def text(self) -> pa.LargeStringArray:
        """The kept lines [texts], stripped of white space around them all."""
        return stripped(self.data, self.offsets)

    def kept(self, rows: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Every kept line of the texts at ``rows``, which were cut at line breaks."""
        return split(self.data, self.offsets, rows[self.counts[rows, _KEPT] > 0], NEWLINE)


def c4_lines(
    text: pa.LargeStringArray, rules: LineRules, pieces: pa.LargeListArray | None = None
) -> C4Lines:
    """What C4's line rules leave of every text.

    Lines are those of ``str.splitlines``, and stay lines; or, where given, the strings of
    ``pieces`` [texts], which are joined by spaces.
    """
    by_line = pieces is None
    if pieces is None:
        data, offsets = text_buffers(text)
        cuts, starts = offsets[:0], offsets[:0]
    else:
        starts = pieces.offsets.to_numpy()
        data, cuts = text_buffers(pieces.values)
        offsets = cuts[starts]
    rows = len(offsets) - 1
    out = np.empty(int(offsets[-1] - offsets[0]) + len(cuts) + 1, np.uint8)
    ends = np.zeros(rows + 1, np.int64)
    counts = np.zeros((rows, len(COUNTS)), np.int64)
    _run(data, offsets, by_line, cuts, starts, rules, properties(), out, ends, counts)
    return C4Lines(out, ends, counts)


@njit(cache=True)
def _run(
    data: Bytes,
    offsets: Offsets,
    by_line: bool,
    cuts: Offsets,
    starts: Offsets,
    rules: LineRules,
    known: Properties,
    out: Bytes,
    ends: Offsets,
    counts: npt.NDArray[np.int64],
) -> None:
    to = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        piece, last = (0, 0) if by_line else (starts[row], starts[row + 1])
        count = counts[row]
        suspect, cited = _suspects(data[at:end])
        cited &= rules.remove_citations
        while at < end if by_line else piece < last:
            if by_line:
                stop = find_line_break(data, at, end)
                following = stop + line_break_width(data, stop, end) if stop < end else stop
            else:
                piece += 1
                stop = following = cuts[piece]
            begin = to + (count[_KEPT] > 0)
            outcome, written = _judge(data, at, stop, rules, suspect, cited, known, out, begin)
            count[_LINES] += 1
            count[outcome] += 1
            if outcome == _KEPT:
                if begin > to:
                    out[to] = NEWLINE if by_line else SPACE
                to = written
            elif outcome >= _LOREM_IPSUM:
                break
            at = following
        ends[row + 1] = to


@njit(cache=True)
def _judge(
    data: Bytes,
    start: int,
    end: int,
    rules: LineRules,
    suspect: bool,
    cited: bool,
    known: Properties,
    out: Bytes,
    to: int,
) -> tuple[int, int]:
    """What becomes of the line ``data[start:end]`` (a column of COUNTS).

    What is left of it is written to ``out`` at ``to``; where that ends is the second value.
    """
    start = skip_space(data, start, end)
    end = drop_space(data, start, end)
    longest = rules.max_word_length
    if 0 <= longest < end - start and _has_longer_word(data, start, end, longest):
        return _LONG, to
    if cited:
        stop = _without_citations(data, start, end, known, out, to)
        suspect |= stop - to < end - start  # what was apart may have become a phrase
    else:
        stop = to + end - start
        for i in range(end - start):
            out[to + i] = data[start + i]
    if rules.terminal and not _is_terminated(out, to, stop):
        return _OPEN, to
    if not _has_words(data, start, end, rules.min_words):
        return _SHORT, to
    if suspect:
        found = _find(out, to, stop) & rules.watched
        if found & LOREM_IPSUM:
            return _LOREM_IPSUM, to
        if found & JAVASCRIPT:
            return _JAVASCRIPT, to
        if found & CURLY_BRACKET:
            return _CURLY, to
        if found & POLICY:
            return _POLICY, to
    return _KEPT, stop


@njit(cache=True)
def _suspects(view: Bytes) -> tuple[bool, bool]:
    """Whether a text may hold a phrase or curly bracket, and whether it may hold a citation.

    Looks for "psu", "jav", "kie", "vacy" and "f use" in any case and for the Kelvin sign. These
    stand where every phrase that they are part of reaches over all of the five bytes looked at.
    """
    suspect = cited = False
    for i in range(len(view) - 4):
        a, b, c = view[i] | 0x20, view[i + 1] | 0x20, view[i + 2] | 0x20
        d, e = view[i + 3] | 0x20, view[i + 4] | 0x20
        suspect |= (
            ((b == 0x70) & (c == 0x73) & (d == 0x75))
            | ((a == 0x6A) & (b == 0x61) & (c == 0x76))
            | ((b == 0x6B) & (c == 0x69) & (d == 0x65))
            | ((a == 0x76) & (b == 0x61) & (c == 0x63) & (d == 0x79))
            | ((a == 0x66) & (b == 0x20) & (c == 0x75) & (d == 0x73) & (e == 0x65))
            | ((b == 0xE2) & (c == 0xA4) & (d == 0xAA))  # E2 84 AA, folded as all are
        )
    for i in range(len(view)):
        suspect |= view[i] == 0x7B
        cited |= view[i] == 0x5B
    return suspect, cited


@njit(cache=True)
def _has_words(data: Bytes, start: int, end: int, least: int) -> bool:
    """Whether ``data[start:end]``, which is stripped, has at least so many words."""
    at = start
    while least > 0 and at < end:
        least -= 1
        while at < end and space_width(data, at) == 0:
            at += 1
        at = skip_space(data, at, end)
    return least <= 0


@njit(cache=True)
def _has_longer_word(data: Bytes, start: int, end: int, longest: int) -> bool:
    """Whether a word of ``data[start:end]`` has more than ``longest`` characters."""
    word = seen = start  # there is no white space in data[word:seen]
    while end - word > longest:
        upto = word + longest + 1
        at = upto - 1
        while at >= seen and (data[at] & 0xC0 == 0x80 or space_width(data, at) == 0):
            at -= 1
        if at >= seen:
            word = at + space_width(data, at)
            seen = upto
            continue
        at = upto
        while at < end and (data[at] & 0xC0 == 0x80 or space_width(data, at) == 0):
            at += 1
        if code_points(data, word, at) > longest:
            return True
        word = seen = at
    return False


@njit(cache=True)
def _find(data: Bytes, start: int, end: int) -> int:
    """Bits of the phrases, and of a curly bracket, in ``data[start:end]``."""
    found = 0
    for at in range(start, end):
        kind = _KINDS[data[at]]
        if kind == _PLAIN:
            continue
        if kind == _BRACE:
            found |= CURLY_BRACKET
        elif kind >= _ANCHOR:
            found |= _phrases(data, start, at, at + 1, end, kind)
        elif data[at + 1] == 0x84 and data[at + 2] == 0xAA:
            found |= _phrases(data, start, at, at + 3, end, _KELVIN)
    return found


@njit(cache=True)
def _phrases(data: Bytes, start: int, at: int, after: int, end: int, kind: int) -> int:
    """Bits of the phrases whose anchor lies at ``data[at:after]``."""
    found = 0
    for phrase in range(_GROUPS[kind - _ANCHOR], _GROUPS[kind - _ANCHOR + 1]):
        before = _BEFORE[phrase]
        if (
            at - before >= start
            and after + _AFTER[phrase] <= end
            and _is_folded(data, after, _AROUND[phrase], before, _AFTER[phrase])
            and _is_folded(data, at - before, _AROUND[phrase], 0, before)
        ):
            found |= _MEANS[phrase]
    return found


@njit(cache=True, forceinline=True)
def _is_folded(data: Bytes, at: int, letters: Bytes, start: int, length: int) -> bool:
    """Whether ``data`` has ``letters[start:start + length]``, in any case, at ``at``."""
    for i in range(length):
        byte, letter = data[at + i], letters[start + i]
        if byte != letter and (letter == SPACE or byte | 0x20 != letter):
            return False
    return True


@njit(cache=True, forceinline=True)
def _is_terminated(data: Bytes, start: int, end: int) -> bool:
    """Whether ``data[start:end]`` ends in one of ``.?!"'`` and not in three dots."""
    if start == end:
        return False
    byte = data[end - 1]
    if byte == 0x2E:
        return not (end - start >= 3 and data[end - 2] == 0x2E and data[end - 3] == 0x2E)
    return bool(byte == 0x3F or byte == 0x21 or byte == 0x22 or byte == 0x27)


@njit(cache=True)
def _without_citations(
    data: Bytes, start: int, end: int, known: Properties, out: Bytes, to: int
) -> int:
    """Writes ``data[start:end]`` without citations to ``out`` at ``to``; where that ends."""
    at = start
    while at < end:
        if data[at] == 0x5B:
            width = _citation_width(data, at, end, known)
            if width:
                at += width
                continue
        out[to] = data[at]
        to += 1
        at += 1
    return to


@njit(cache=True)
def _citation_width(data: Bytes, at: int, end: int, known: Properties) -> int:
    r"""Bytes of ``\[\d*]``, ``[edit]`` or ``[citation needed]`` at ``at``, or 0."""
    stop = at + 1
    while stop < end and known[code_point(data, stop)] & DECIMAL:
        stop += char_width(data[stop])
    if stop < end and data[stop] == 0x5D:
        return int(stop + 1 - at)
    for literal in (_EDIT, _CITATION_NEEDED):
        length = len(literal)
        if at + 1 + length <= end and (data[at + 1 : at + 1 + length] == literal).all():
            return 1 + length
    return 0


class WordTrie(NamedTuple):
    """Words as a tree: ``children`` [nodes, classes of bytes], 0 for none; node 0 is the root.

    Byte b is of class ``classes[b]``, 0 for those in no word. ``final`` [nodes] are ends of words.
    """

    children: npt.NDArray[np.int32]
    classes: Bytes
    final: npt.NDArray[np.bool_]


def word_trie(words: Iterable[str]) -> WordTrie:
    """A tree of words, none of them empty."""
    encoded = sorted(word.encode() for word in words)
    classes = np.zeros(256, dtype=np.uint8)
    used = sorted({byte for word in encoded for byte in word})
    classes[used] = np.arange(1, len(used) + 1)
    nodes: dict[bytes, int] = {b"": 0}
    for word in encoded:
        for end in range(1, len(word) + 1):
            nodes.setdefault(word[:end], len(nodes))
    children = np.zeros((len(nodes), len(used) + 1), dtype=np.int32)
    for prefix, node in nodes.items():
        if prefix:
            children[nodes[prefix[:-1]], classes[prefix[-1]]] = node
    final = np.zeros(len(nodes), dtype=np.bool_)
    final[[nodes[word] for word in encoded]] = True
    return WordTrie(children, classes, final)


def has_word(text: pa.LargeStringArray, trie: WordTrie, *, anywhere: bool) -> npt.NDArray[np.bool_]:
    """Whether each text holds a word of the tree, case and all, with no letter, digit or "_"
    beside it unless it may be ``anywhere``.

    Takes a time linear in the text, times at most the length of the longest word.
    """
    data, offsets = text_buffers(text)
    found = np.zeros(len(text), dtype=np.bool_)
    _find_words(
        data, offsets, trie.children, trie.classes, trie.final, anywhere, properties(), found
    )
    return found


@njit(cache=True)
def _find_words(
    data: Bytes,
    offsets: Offsets,
    children: npt.NDArray[np.int32],
    classes: Bytes,
    final: npt.NDArray[np.bool_],
    anywhere: bool,
    known: Properties,
    found: npt.NDArray[np.bool_],
) -> None:
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        begins = True
        while at < end and not found[row]:
            if begins or anywhere:
                node, stop = children[0, classes[data[at]]], at + 1
                while node:
                    if final[node] and (
                        anywhere or stop == end or not known[code_point(data, stop)] & WORD
                    ):
                        found[row] = True
                        break
                    if stop == end:
                        break
                    node = children[node, classes[data[stop]]]
                    stop += 1
            begins = not known[code_point(data, at)] & WORD
            at += char_width(data[at])


def long_lines(text: pa.LargeStringArray, least: int) -> npt.NDArray[np.int64]:
    """Lines (``split("\\n")``) of at least so many characters, in each text."""
    data, offsets = text_buffers(text)
    counts = np.zeros(len(text), dtype=np.int64)
    _count_long(data, offsets, least, counts)
    return counts


@njit(cache=True)
def _count_long(data: Bytes, offsets: Offsets, least: int, counts: npt.NDArray[np.int64]) -> None:
    for row in range(len(offsets) - 1):
        length = 0
        for byte in data[offsets[row] : offsets[row + 1]]:
            if byte == NEWLINE:
                counts[row] += length >= least
                length = 0
            else:
                length += byte & 0xC0 != 0x80
        counts[row] += length >= least
