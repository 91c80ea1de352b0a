"""Lines between newlines: how long they are, how they end, which repeat, and which to take out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.hashing.hashing import xxh64
from kernels.text.edits import (
    ALNUM,
    DECIMAL,
    DIGIT,
    UPPER,
    WORD,
    Properties,
    char_width,
    code_point,
    properties,
    strings,
)
from kernels.text.utf8 import (
    NEWLINE,
    SPACE,
    Bytes,
    Offsets,
    code_points,
    drop_space,
    same_bytes,
    skip_space,
    space_width,
    text_buffers,
)

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LineShapes:
    """Counts [texts] of the lines (``split("\\n")``) that are not all white space.

    ``lines`` are all of those, ``ended`` the ones with a given ending, ``short`` those of at most
    a given length; ``repeated`` are the characters of lines that repeat an earlier one.
    ``characters`` are those of the text without its ``newlines``.
    """

    lines: Counts
    ended: Counts
    short: Counts
    repeated: Counts
    characters: Counts
    newlines: Counts


class _Endings(NamedTuple):
    """Strings by their last byte: those that end in b are ``groups[b]`` to ``groups[b + 1]``."""

    data: Bytes
    offsets: Offsets
    groups: Counts


def line_shapes(text: pa.LargeStringArray, endings: Sequence[str], short_length: int) -> LineShapes:
    """Counts of lines: those that end in one of ``endings`` (none empty, compared as
    ``str.endswith`` does), those of at most ``short_length`` characters, and repeated ones."""
    data, offsets = text_buffers(text)
    encoded = sorted((ending.encode() for ending in endings), key=lambda ending: ending[-1])
    last = [ending[-1] for ending in encoded]
    table = _Endings(
        np.frombuffer(b"".join(encoded) or b"\0", dtype=np.uint8),
        np.cumsum([0, *map(len, encoded)]),
        np.searchsorted(np.array(last, dtype=np.int64), np.arange(257)),
    )
    counts = np.zeros((6, len(text)), dtype=np.int64)
    _measure(data, offsets, table, short_length, counts)
    return LineShapes(*counts)


@njit(cache=True)
def _measure(
    data: Bytes, offsets: Offsets, endings: _Endings, short_length: int, counts: Counts
) -> None:
    room = _most_lines(data, offsets)
    starts, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        lines = 0
        while at <= end:
            stop = at
            while stop < end and data[stop] != NEWLINE:
                stop += 1
            length = code_points(data, at, stop)
            counts[4, row] += length
            counts[5, row] += stop < end
            if skip_space(data, at, stop) < stop:
                starts[lines], ends[lines] = at, stop
                lines += 1
                counts[1, row] += _has_ending(data, at, stop, endings)
                counts[2, row] += length <= short_length
            at = stop + 1
        counts[0, row] = lines
        counts[3, row] = _repeated_characters(data, starts, ends, lines)


@njit(cache=True)
def _most_lines(data: Bytes, offsets: Offsets) -> int:
    most = 0
    for row in range(len(offsets) - 1):
        newlines = 0
        for byte in data[offsets[row] : offsets[row + 1]]:
            newlines += byte == NEWLINE
        most = max(most, newlines)
    return most + 1


@njit(cache=True)
def _has_ending(data: Bytes, start: int, end: int, endings: _Endings) -> bool:
    last = np.int64(data[end - 1])
    for i in range(endings.groups[last], endings.groups[last + 1]):
        length = endings.offsets[i + 1] - endings.offsets[i]
        if length <= end - start and same_bytes(
            data, end - length, endings.data, endings.offsets[i], length
        ):
            return True
    return False


@njit(cache=True)
def _repeated_characters(data: Bytes, starts: Counts, ends: Counts, lines: int) -> int:
    size = 4
    while size < 2 * lines:
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    values = np.empty(lines, dtype=np.uint64)
    mask = np.uint64(size - 1)
    repeated = 0
    for i in range(lines):
        length = ends[i] - starts[i]
        values[i] = xxh64(data, starts[i], ends[i], np.uint64(0))
        slot = values[i] & mask
        while slots[slot] >= 0:
            other = slots[slot]
            if (
                values[other] == values[i]
                and ends[other] - starts[other] == length
                and same_bytes(data, starts[other], data, starts[i], length)
            ):
                repeated += code_points(data, starts[i], ends[i])
                break
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i
    return repeated


class EditRules(NamedTuple):
    """What is taken out of a text, line by line. Shares above 1 and counts below 0 ask nothing."""

    most_upper: float
    most_digits: float
    counters: bool
    min_words: int
    boilerplate_words: int


@dataclass(frozen=True)
class EditedLines:
    """What is left of some texts, and their words [texts] before and after.

    A word is what lies between ASCII white space or NULs and begins with a letter or digit.
    """

    text: pa.LargeStringArray
    words: Counts
    words_left: Counts


def edit_lines(text: pa.LargeStringArray, rules: EditRules) -> EditedLines:
    """Takes out lines that are mostly capitals, mostly digits, counters ("3 likes") or too short,
    and then, out of short lines, what buttons say. One rule after the other; where it says so,
    white space around what is left is stripped before the next."""
    data, offsets = text_buffers(text)
    work = np.empty(max(1, int(np.diff(offsets).max(initial=0))), np.uint8)
    out, ends = np.empty(offsets[-1] - offsets[0], np.uint8), np.zeros(len(offsets), np.int64)
    counts = np.zeros((2, len(text)), dtype=np.int64)
    _edit(data, offsets, rules, properties(), work, out, ends, counts)
    return EditedLines(strings(out, ends), counts[0], counts[1])


@njit(cache=True)
def _edit(
    data: Bytes,
    offsets: Offsets,
    rules: EditRules,
    known: Properties,
    work: Bytes,
    out: Bytes,
    ends: Offsets,
    counts: Counts,
) -> None:
    room = _most_lines(data, offsets)
    lines = np.empty((room, 2), dtype=np.int64)
    to = 0
    for row in range(len(offsets) - 1):
        size = offsets[row + 1] - offsets[row]
        for i in range(size):
            work[i] = data[offsets[row] + i]
        counts[0, row] = _count_words(work, 0, size, known)
        count = _split(work, size, lines)
        for rule in range(_RULES):
            kept = 0
            for i in range(count):
                start, end = lines[i, 0], lines[i, 1]
                if start < end:
                    start, end = _apply(rule, work, start, end, rules, known)
                    if start < 0:
                        continue
                lines[kept, 0], lines[kept, 1] = start, end
                kept += 1
            count = kept if rule == _SHORT else _strip(work, lines, kept)
        begin = to
        for i in range(count):
            if i:
                out[to] = NEWLINE
                to += 1
            for at in range(lines[i, 0], lines[i, 1]):
                out[to] = work[at]
                to += 1
        counts[1, row] = _count_words(out, begin, to, known)
        ends[row + 1] = to


# The rules, in their order.
_CAPITALS, _DIGITS, _COUNTER, _SHORT, _ANYWHERE, _AT_END, _AT_START, _RULES = range(8)

_COUNTED = tuple(
    np.frombuffer(word.encode(), dtype=np.uint8)
    for word in (
        *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks"),
        *("upvotes", "downvotes", "downloads", "views", "followers"),
    )
)
_IN_CART = np.frombuffer(b"items in cart", dtype=np.uint8)
_READ_MORE = np.frombuffer(b"read more", dtype=np.uint8)
_READ_MORE_REST = 3  # characters after it, whichever: the dots are not escaped
_SIGN_IN = np.frombuffer(b"sign-in", dtype=np.uint8)


@njit(cache=True)
def _apply(
    rule: int, work: Bytes, start: int, end: int, rules: EditRules, known: Properties
) -> tuple[int, int]:
    """What a rule leaves of a line that is not empty; (-1, -1) when nothing."""
    left = (start, end)
    if rule == _CAPITALS:
        gone = _exceeds(work, start, end, known, UPPER, rules.most_upper)
    elif rule == _DIGITS:
        gone = _exceeds(work, start, end, known, DIGIT, rules.most_digits)
    elif rule == _COUNTER:
        gone = rules.counters and _is_counter(work, start, end, known)
    elif rule == _SHORT:
        gone = not _has_words(work, start, end, rules.min_words)
    elif _has_words(work, start, end, rules.boilerplate_words + 1):
        gone = False
    else:
        if rule == _ANYWHERE:
            left = (start, _without_phrase(work, start, end))
        elif rule == _AT_END:
            left = (start, _before_read_more(work, start, end))
        else:
            left = (_after_sign_in(work, start, end), end)
        gone = skip_space(work, left[0], left[1]) == left[1]
    return (-1, -1) if gone else left


@njit(cache=True)
def _split(data: Bytes, size: int, lines: Counts) -> int:
    """Lines of ``data[:size]``, as they start and end; their number."""
    count = start = 0
    for at in range(size):
        if data[at] == NEWLINE:
            lines[count, 0], lines[count, 1] = start, at
            count += 1
            start = at + 1
    lines[count, 0], lines[count, 1] = start, size
    return count + 1


@njit(cache=True)
def _strip(data: Bytes, lines: Counts, count: int) -> int:
    """Strips white space before the first and after the last line; how many lines are left."""
    while count:
        lines[count - 1, 1] = drop_space(data, lines[count - 1, 0], lines[count - 1, 1])
        if lines[count - 1, 0] < lines[count - 1, 1]:
            break
        count -= 1
    blank = 0
    while blank < count:
        lines[blank, 0] = skip_space(data, lines[blank, 0], lines[blank, 1])
        if lines[blank, 0] < lines[blank, 1]:
            break
        blank += 1
    if blank:
        for i in range(count - blank):
            lines[i, 0], lines[i, 1] = lines[i + blank, 0], lines[i + blank, 1]
    return count - blank


@njit(cache=True)
def _exceeds(data: Bytes, start: int, end: int, known: Properties, bit: int, most: float) -> bool:
    """Whether a larger share of the characters than ``most`` has the property ``bit``."""
    have = count = 0
    at = start
    # So many without it settle the matter: there are no more characters than bytes.
    enough = (1 - most) * (end - start) + 1
    while at < end and count - have <= enough:
        byte = data[at]
        if byte < 0x80:
            have += known[byte] & bit != 0
            at += 1
        else:
            have += known[code_point(data, at)] & bit != 0
            at += char_width(byte)
        count += 1
    return at == end and have / count > most


@njit(cache=True)
def _has_words(data: Bytes, start: int, end: int, least: int) -> bool:
    """Whether ``str.split`` of ``data[start:end]`` gives at least so many words."""
    at = skip_space(data, start, end)
    while least > 0 and at < end:
        least -= 1
        while at < end and space_width(data, at) == 0:
            at += 1
        at = skip_space(data, at, end)
    return least <= 0


@njit(cache=True)
def _count_words(data: Bytes, start: int, end: int, known: Properties) -> int:
    words, parted = 0, True
    for at in range(start, end):
        byte = data[at]
        if byte < 0x80:  # added up without a branch: where words begin cannot be predicted
            words += parted & (known[byte] & ALNUM != 0)
        elif parted:
            words += known[code_point(data, at)] & ALNUM != 0
        parted = (byte == SPACE) | ((byte >= 0x09) & (byte <= 0x0D)) | (byte == 0)
    return words


@njit(cache=True)
def _is_counter(data: Bytes, start: int, end: int, known: Properties) -> bool:
    """Whether the line is a number (perhaps with K, M or B), white space, and what was counted,
    with nothing around but what is in no word."""
    at = _skip_to_word(data, start, end, known)
    if at == end or not known[code_point(data, at)] & DECIMAL:
        return False
    while at < end and (
        data[at] == 0x2C or data[at] == 0x2E or known[code_point(data, at)] & DECIMAL
    ):
        at += char_width(data[at])
    if at < end and data[at] | 0x20 in (0x6B, 0x6D, 0x62):
        at += 1
    elif at < end and _letter_width(data, at, end, 0x6B) == 3:
        at += 3
    word = skip_space(data, at, end)
    if word == at:
        return False
    for counted in _COUNTED:
        after = _after_lowered(data, word, end, counted)
        if after > word and _skip_to_word(data, after, end, known) == end:
            return True
    return False


@njit(cache=True)
def _skip_to_word(data: Bytes, at: int, end: int, known: Properties) -> int:
    while at < end and not known[code_point(data, at)] & WORD:
        at += char_width(data[at])
    return at


@njit(cache=True)
def _letter_width(data: Bytes, at: int, end: int, letter: int) -> int:
    """Bytes of the character at ``at`` when regular expressions hold it for the small ``letter``
    whatever its case, or 0: İ and ı are "i", ſ is "s", and the Kelvin sign is "k"."""
    if at >= end:
        return 0
    byte = data[at]
    if byte == letter or (letter >= 0x61 and byte | 0x20 == letter):
        return 1
    if byte == 0xC4 and letter == 0x69:
        return 2 * int(data[at + 1] == 0xB0 or data[at + 1] == 0xB1)
    if byte == 0xC5 and letter == 0x73:
        return 2 * int(data[at + 1] == 0xBF)
    if byte == 0xE2 and letter == 0x6B:
        return 3 * int(data[at + 1] == 0x84 and data[at + 2] == 0xAA)
    return 0


@njit(cache=True)
def _after_lowered(data: Bytes, at: int, end: int, word: Bytes) -> int:
    """Where ``word`` ends that stands at ``at`` once in lower case, or -1; of characters outside
    ASCII, only the Kelvin sign has a letter's lower case."""
    for letter in word:
        width = _letter_width(data, at, end, letter)
        if width == 0 or width == 2:
            return -1
        at += width
    return at


@njit(cache=True)
def _after_folded(data: Bytes, at: int, end: int, phrase: Bytes) -> int:
    """Where ``phrase`` ends that stands at ``at`` in any case, or -1."""
    for letter in phrase:
        width = _letter_width(data, at, end, letter)
        if width == 0:
            return -1
        at += width
    return at


@njit(cache=True)
def _without_phrase(data: Bytes, start: int, end: int) -> int:
    """Takes "items in cart", with a white space before, out of the line, in place; its new end."""
    to = at = start
    while at < end:
        after = _after_folded(data, at + space_width(data, at), end, _IN_CART)
        if after < 0:
            data[to] = data[at]
            to += 1
            at += 1
        else:
            at = after
    return to


@njit(cache=True)
def _before_read_more(data: Bytes, start: int, end: int) -> int:
    """Where the line ends without "read more", any three characters, and a white space before."""
    at = end
    for _ in range(len(_READ_MORE) + _READ_MORE_REST):
        if at == start:
            return end
        at -= 1
        while data[at] & 0xC0 == 0x80:
            at -= 1
    if _after_folded(data, at, end, _READ_MORE) < 0:
        return end
    if at > start:
        before = at - 1
        while data[before] & 0xC0 == 0x80:
            before -= 1
        at = before if space_width(data, before) else at
    return at


@njit(cache=True)
def _after_sign_in(data: Bytes, start: int, end: int) -> int:
    """Where the line starts without "sign-in" and a white space after."""
    at = _after_folded(data, start, end, _SIGN_IN)
    if at < 0:
        return start
    return int(at + space_width(data, at) if at < end else at)
