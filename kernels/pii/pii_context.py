"""What stands beside and within numbers and addresses: glued characters, separators of groups,
words that name a number, and which characters names are made of."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit, types

from kernels.text.utf8 import Bytes, decode
from kernels.text.wide import AT, BYTES

Stems = npt.NDArray[np.uint64]
_STEMS = types.Array(types.uint64, 2, "C", readonly=True)

NO_SEPARATOR, SPACED, DASHED = 0, 1, 2
NAME, CAPITAL = 1, 2  # bits of ``name_characters``
_ALL_SEPARATORS = 0x11000  # Unicode 17 has no dash or space from here on

_DIGIT, _LETTER = 1, 2
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[[*range(0x30, 0x3A)]] = _DIGIT
_KINDS[[*range(0x41, 0x5B), *range(0x61, 0x7B), 0x5F]] = _LETTER


def stems(words: str) -> Stems:
    """Words [stems, 3] for ``word_before``: eight bytes, how many of them count, and 1 when the
    word must end there ("tel"), 0 when it may go on ("telefon*", and those of more bytes)."""
    rows = []
    for word in words.split():
        raw = word.rstrip("*").encode()
        whole = word[-1] != "*" and len(raw) <= 8
        rows.append((int.from_bytes(raw[:8].ljust(8, b"\0"), "big"), len(raw[:8]), whole))
    return np.array(rows, dtype=np.uint64)


def _separators(category: str) -> npt.NDArray[np.int64]:
    codes = range(0x80, _ALL_SEPARATORS)
    return np.array([code for code in codes if unicodedata.category(chr(code)) == category])


_SPACES, _DASHES = _separators("Zs"), _separators("Pd")


@cache
def name_characters() -> Bytes:
    """For every code point [0x110000] NAME where it is a letter, a mark or a digit, of which the
    labels of internationalised domains are made (RFC 5892), and CAPITAL; takes 0.4 s, once."""
    chars = [chr(code) for code in range(sys.maxunicode + 1)]
    found = np.fromiter((char.isalnum() for char in chars), np.bool_, len(chars))
    marks = np.fromiter((unicodedata.category(char)[0] == "M" for char in chars), np.bool_)
    capitals = np.fromiter((char.isupper() for char in chars), np.bool_, len(chars))
    return (NAME * (found | marks) + CAPITAL * capitals).astype(np.uint8)


@njit(cache=True)
def separator(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Whether a space (category Zs) or a dash (Pd) stands ``at``, and its width in bytes."""
    if at >= end:
        return NO_SEPARATOR, 0
    byte = data[at]
    if byte < 0x80:
        if byte == 0x20:
            return SPACED, 1
        return (DASHED, 1) if byte == 0x2D else (NO_SEPARATOR, 0)
    code, after = decode(data, at)
    for space in _SPACES:
        if code == space:
            return SPACED, after - at
    for dash in _DASHES:
        if code == dash:
            return DASHED, after - at
    return NO_SEPARATOR, 0


@njit(cache=True, forceinline=True)
def is_digit(byte: int) -> bool:
    return bool(0x30 <= byte <= 0x39)


@njit(cache=True, forceinline=True)
def is_letter(byte: int) -> bool:
    """ASCII letters and the underscore."""
    return bool(_KINDS[byte] == _LETTER)


@njit(cache=True, forceinline=True)
def is_alnum(byte: int) -> bool:
    """ASCII letters, digits and the underscore."""
    return bool(_KINDS[byte] != 0)


@njit(cache=True)
def letter_before(data: Bytes, begin: int, at: int) -> bool:
    """Whether a letter, digit, underscore or sign of a currency ends ``at``.

    Scripts that put no spaces between words (from U+3000 on) glue nothing.
    """
    if at == begin:
        return False
    before = data[at - 1]
    if before < 0x80:
        return bool(is_alnum(before) or before == 0x24)
    back = at - 1
    while back > begin and data[back] & 0xC0 == 0x80:
        back -= 1
    if data[back] == 0xE2:  # currency signs, U+20A0 to U+20BF; other signs are punctuation
        return bool(data[back + 1] == 0x82 and data[back + 2] >= 0xA0)
    if data[back] == 0xC2:  # signs of Latin-1, of which these: ¢ £ ¤ ¥ ª µ º
        sign = data[back + 1]
        return bool(0xA2 <= sign <= 0xA5 or sign == 0xAA or sign == 0xB5 or sign == 0xBA)
    return bool(data[back] < 0xE3)


@njit(cache=True)
def letter_after(data: Bytes, at: int, end: int) -> bool:
    """Whether a letter, digit or underscore begins ``at``; scripts without spaces glue nothing."""
    if at >= end:
        return False
    after = data[at]
    if after < 0x80:
        return bool(is_alnum(after))
    if after == 0xC2:
        return bool(data[at + 1] in (0xAA, 0xB5, 0xBA))
    return bool(after < 0xE2)


@njit(cache=True)
def matches_stem(data: Bytes, at: int, stop: int, table: Stems) -> bool:
    """Whether the word in ``data[at:stop]`` is in ``table``, ASCII capitals aside."""
    packed = np.uint64(0)
    for i in range(8):
        byte = np.uint64(data[at + i]) if at + i < stop else np.uint64(0)
        if 0x41 <= byte <= 0x5A:
            byte += np.uint64(0x20)
        packed = (packed << np.uint64(8)) | byte
    for i in range(len(table)):
        length = table[i, 1]
        shift = np.uint64(8) * (np.uint64(8) - length)
        if packed >> shift == table[i, 0] >> shift and (
            table[i, 2] == 0 or np.uint64(stop - at) == length
        ):
            return True
    return False


@njit(cache=True, forceinline=True)
def _in_word(byte: int) -> bool:
    return bool(is_letter(byte) or byte >= 0x80)


@njit(types.boolean(BYTES, AT, AT, types.int64, _STEMS), cache=True)
def word_before(data: Bytes, begin: int, at: int, reach: int, table: Stems) -> bool:
    """Whether a word of ``table`` stands in the ``reach`` bytes before ``at``.

    Nothing before an earlier digit counts: what is named there is another number.
    """
    back = at
    limit = max(begin, at - reach)
    while back > limit and not is_digit(data[back - 1]):
        back -= 1
    # A word cut in two by the limit is none.
    while back > begin and back < at and _in_word(data[back - 1]) and _in_word(data[back]):
        back += 1
    while back < at:
        stop = back
        while stop < at and _in_word(data[stop]):
            stop += 1
        if stop > back and matches_stem(data, back, stop, table):
            return True
        back = stop + 1
    return False


@njit(cache=True)
def word_after(data: Bytes, at: int, end: int, reach: int, table: Stems) -> bool:
    """Whether the next word after ``at``, at most ``reach`` bytes on, is in ``table``."""
    stop = min(end, at + reach)
    while at < stop and not _in_word(data[at]):
        if is_digit(data[at]) or data[at] == 0x0A:
            return False
        at += 1
    if at == stop:
        return False
    last = at
    while last < end and last < at + 16 and _in_word(data[last]):
        last += 1
    return bool(matches_stem(data, at, last, table))
