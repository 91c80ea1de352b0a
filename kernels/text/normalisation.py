"""Text made comparable: what is the same but for case, numbers, punctuation and accents gets equal.

Format characters (category Cf: zero-width spaces and joiners, soft hyphens, marks of direction) are
left out, and forms that Unicode has of a character for its width, font or place in a word become
that character. The rest is datatrove's ``simplify_text`` with its default configuration, which the
MinHash recipe of FineWeb uses, and the result for texts without the above is equal to it: lower
case; every number (digits of any script, at most one decimal part) becomes ``0``; punctuation and
white space become one space; letters are decomposed (NFD) and lose their marks (category Mn). On
request numbers keep their digits, of any script as ASCII.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.text.utf8 import Bytes, Offsets, decode, text_buffers
from kernels.text.wide import lowest_bit, range_mask

# What the recipe calls punctuation, beside the control characters; the marks of other scripts are
# those its authors met on the web.
_PUNCTUATION = string.punctuation + "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
_CONTROLS = [*range(9), *range(11, 32), *range(127, 160)]
_TO_SPACE = dict.fromkeys([*map(ord, _PUNCTUATION), *_CONTROLS], " ")
_SEPARATORS = ".,،٫⎖⎗⎘"  # between the whole and the decimal part of a number

# First and number of the decimal digits (category Nd) of Unicode 17. Python's own table is older
# than that, and which one it has depends on the version of Python.
_DIGIT_RUNS = [(0x1D7CE, 50), (0x116D0, 20)] + [
    (first, 10)
    for first in (
        *(0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6),
        *(0xD66, 0xDE6, 0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0),
        *(0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0),
        *(0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0),
        *(0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11BF0),
        *(0x11C50, 0x11D50, 0x11DA0, 0x11DE0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50),
        *(0x16D70, 0x1CCF0, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0),
    )
]
_DIGITS = frozenset(chr(first + i) for first, count in _DIGIT_RUNS for i in range(count))
_DIGIT_CLASS = "".join(f"{chr(first)}-{chr(first + count - 1)}" for first, count in _DIGIT_RUNS)
_ASCII_DIGITS = {first + i: str(i % 10) for first, count in _DIGIT_RUNS for i in range(count)}
_NUMBER = re.compile(f"[{_DIGIT_CLASS}]+(?:[{_SEPARATORS}][{_DIGIT_CLASS}]+)?")

# Tags of decompositions (UAX #44, table 14) that give the same character in another form. Others
# say more than the character does: superscripts, fractions, circled and squared ones.
_FORMS = frozenset(
    f"<{tag}>"
    for tag in (
        *("compat", "font", "small", "vertical", "narrow", "wide"),
        *("initial", "medial", "final", "isolated"),
    )
)

# What the kernel does with a code point; from 0 on, where in the replacements it finds its bytes.
_UNKNOWN, _SPACE, _DIGIT, _CONTEXT, _IGNORED = -1, -2, -3, -4, -5
_CODE_POINTS = 0x110000
# UTF-8 bytes of a replacement per byte of its character: a Hangul syllable (3) becomes 3 letters.
_GROWTH = 3

_SPACE_BYTE, _DIGIT_BYTE = 0x20, 0x30

Actions = npt.NDArray[np.int32]


def normalise(text: pa.LargeStringArray, keep_digits: bool = False) -> pa.LargeStringArray:
    """``text`` [rows], each row normalised; with ``keep_digits`` each number as its digits instead
    of ``0``. ValueError when there are nulls."""
    data, offsets = text_buffers(text)
    alphabet = _alphabet(keep_digits)
    alphabet.learn(data, offsets)
    out = np.empty(_GROWTH * int(offsets[-1] - offsets[0]) + 1, np.uint8)
    ends = np.zeros(len(text) + 1, np.int64)
    contextual = np.zeros(len(text), np.bool_)
    _normalise(
        data,
        offsets,
        alphabet.actions,
        np.frombuffer(alphabet.replacements, np.uint8),
        _ascii_bytes(keep_digits),
        out,
        ends,
        contextual,
    )
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]].copy())]
    normalised = pa.Array.from_buffers(pa.large_string(), len(text), buffers)
    if contextual.any():
        rest = [
            normalise_one(row.as_py(), keep_digits) for row in text.filter(pa.array(contextual))
        ]
        mask, replacements = pa.array(contextual), pa.array(rest, pa.large_string())
        normalised = pc.replace_with_mask(normalised, mask, replacements)
    return normalised


def normalise_one(text: str, keep_digits: bool = False) -> str:
    """One text, without the kernel: the definition, and the way where context matters."""
    text = text.translate(_plain_forms()).lower()
    text = text.translate(_ASCII_DIGITS) if keep_digits else _NUMBER.sub("0", text)
    text = text.translate(_TO_SPACE)
    decomposed = unicodedata.normalize("NFD", " ".join(text.split()))
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn").strip()


class _PlainForms(dict[int, str]):
    """By code point the plain form of a character, for ``str.translate``; made when asked for."""

    def __missing__(self, code_point: int) -> str:
        char = chr(code_point)
        plain = char
        tag, _, rest = unicodedata.decomposition(char).partition(" ")
        if unicodedata.category(char) == "Cf":
            plain = ""
        elif tag in _FORMS and char not in _DIGITS:
            form = "".join(self[int(code, 16)] for code in rest.split())
            if len(form) == 1 or form.isalpha():  # no spaces, brackets and numbers within a word
                plain = form
        self[code_point] = plain
        return plain


@cache
def _plain_forms() -> _PlainForms:
    return _PlainForms()


class _Alphabet:
    """What becomes of each code point that has been met.

    ``actions`` [code points]; ``replacements`` holds a length and that many bytes per entry.
    """

    def __init__(self, keep_digits: bool) -> None:
        self._keep_digits = keep_digits
        self.actions: Actions = np.full(_CODE_POINTS, _UNKNOWN, np.int32)
        self.replacements = bytearray()
        self._add(range(128))

    def learn(self, data: Bytes, offsets: Offsets) -> None:
        """Add the code points of these rows that are not known yet."""
        unknown = np.zeros(_CODE_POINTS, np.bool_)
        if _mark_unknown(data, offsets[0], offsets[-1], self.actions, unknown):
            self._add(np.flatnonzero(unknown).tolist())

    def _add(self, code_points: range | list[int]) -> None:
        for code_point in code_points:
            self.actions[code_point] = self._action(chr(code_point))

    def _action(self, char: str) -> int:
        if char in _DIGITS and not self._keep_digits:
            return _DIGIT
        plain = _plain_forms()[ord(char)]
        if not plain:
            return _IGNORED
        if char not in _DIGITS and plain.translate(_TO_SPACE).isspace():
            return _SPACE
        normalised = normalise_one(char, self._keep_digits)
        # A capital sigma's lower case depends on its neighbours, and marks that stay (category Mc)
        # but have a combining class are sorted among them.
        if "Σ" in plain or any(map(unicodedata.combining, normalised)):
            return _CONTEXT
        encoded = normalised.encode()
        self.replacements += bytes([len(encoded), *encoded])
        return len(self.replacements) - len(encoded) - 1


@cache
def _alphabet(keep_digits: bool) -> _Alphabet:
    return _Alphabet(keep_digits)


@cache
def _ascii_bytes(keep_digits: bool) -> Bytes:
    """What each byte [256] becomes where that needs no look around: a letter or a space, else 0."""
    table = np.zeros(256, np.uint8)
    for byte in range(128):
        if keep_digits or chr(byte) not in _DIGITS:
            table[byte] = ord(normalise_one(chr(byte), keep_digits) or " ")
    return table


@numba.njit(cache=True, nogil=True)
def _mark_unknown(
    data: Bytes, start: int, stop: int, actions: Actions, unknown: npt.NDArray[np.bool_]
) -> bool:
    found = False
    for block in range(start, stop, 64):
        leads = range_mask(data, block, stop, 0xC2, 0xF4)
        while leads:
            code_point, _ = decode(data, block + lowest_bit(leads))
            leads &= leads - np.uint64(1)
            if actions[code_point] == _UNKNOWN:
                unknown[code_point] = True
                found = True
    return found


@numba.njit(cache=True, nogil=True)
def _after_digits(data: Bytes, at: int, stop: int, actions: Actions) -> int:
    """Where the last of the digits at ``at`` ends; ``at`` when there are none."""
    end = at
    while at < stop:
        code_point, at = decode(data, at)
        if actions[code_point] == _DIGIT:
            end = at
        elif actions[code_point] != _IGNORED:
            break
    return end


@numba.njit(cache=True, nogil=True)
def _after_number(data: Bytes, at: int, stop: int, actions: Actions) -> int:
    """Where the number that begins at ``at`` ends."""
    number = at = _after_digits(data, at, stop, actions)
    while at < stop:
        code_point, at = decode(data, at)
        if actions[code_point] != _IGNORED:
            # The characters of _SEPARATORS, and those of which they are the plain form.
            if code_point in (
                0x2E, 0x2C, 0x60C, 0x66B, 0x2396, 0x2397, 0x2398,
                0x2024, 0xFE10, 0xFE50, 0xFE52, 0xFF0C, 0xFF0E,
            ):  # fmt: skip
                end = _after_digits(data, at, stop, actions)
                if end > at:
                    return int(end)
            break
    return int(number)


@numba.njit(cache=True, nogil=True)
def _normalise(
    data: Bytes,
    offsets: Offsets,
    actions: Actions,
    replacements: Bytes,
    ascii_bytes: Bytes,
    out: Bytes,
    ends: Offsets,
    contextual: npt.NDArray[np.bool_],
) -> None:
    """Write rows to ``out`` and where they end to ``ends`` [rows + 1]; all code points are known.

    Rows in which some character depends on its context are marked and left unfinished.
    """
    end = 0
    for row in range(len(offsets) - 1):
        begin = end
        in_word = False
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            plain = ascii_bytes[data[at]]
            if plain:
                # Written always, kept if it is a letter or follows one: nothing to mispredict.
                letter = plain != _SPACE_BYTE
                out[end] = plain
                end += letter | in_word
                in_word = letter
                at += 1
                continue
            code_point, following = decode(data, at)
            action = actions[code_point]
            if action == _SPACE:
                out[end] = _SPACE_BYTE
                end += in_word
                in_word = False
            elif action == _DIGIT:
                out[end] = _DIGIT_BYTE
                end += 1
                in_word = True
                following = _after_number(data, at, stop, actions)
            elif action == _CONTEXT:
                contextual[row] = True
                break
            elif action != _IGNORED:
                for i in range(1, replacements[action] + 1):
                    out[end] = replacements[action + i]
                    end += 1
                in_word = end > begin
            at = following
        while end > begin and out[end - 1] == _SPACE_BYTE:
            end -= 1
        ends[row + 1] = end
