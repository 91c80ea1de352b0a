"""Payment-card numbers and IBANs in UTF-8 bytes, whole or in printed groups.

Every function looks at ``data[begin:end]``, one document, and gives where the number that begins
``at`` ends, or ``at`` when there is none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kernels.pii.checksums import (
    CARD,
    MAX_CARD,
    MAX_IBAN,
    MAYBE_A_CARD,
    MIN_CARD,
    card_kind,
    iban_length,
    passes_mod97,
)
from kernels.pii.pii_context import (
    DASHED,
    NO_SEPARATOR,
    is_alnum,
    is_digit,
    letter_after,
    letter_before,
    separator,
    stems,
    word_before,
)
from kernels.text.utf8 import Bytes

_DOT, _COMMA, _DASH, _SLASH, _COLON = 0x2E, 0x2C, 0x2D, 0x2F, 0x3A
_CARD_WORDS = stems(
    "card* credit* debit* cc visa mastercard* maestro amex discover diners jcb unionpay pan "
    "kredit* carte* tarjeta* cartão karte*"
)
_CARD_REACH = 40
# Groups of digits as they are printed on cards; zeros end a row. Longest first.
_GROUPS = np.array([(4, 4, 4, 4, 3), (4, 4, 4, 4, 0), (4, 6, 5, 0, 0), (4, 6, 4, 0, 0)])


@njit(cache=True)
def _digit_across_dash(data: Bytes, begin: int, at: int, stop: int, end: int) -> bool:
    """Whether a dash beyond ASCII and then a digit stand before ``at`` or after ``stop``."""
    kind, width = separator(data, stop, end)
    if kind == DASHED and width > 1 and stop + width < end and is_digit(data[stop + width]):
        return True
    if at == begin or data[at - 1] < 0x80:
        return False
    dash = at - 1
    while dash > begin and data[dash] & 0xC0 == 0x80:
        dash -= 1
    kind, _ = separator(data, dash, at)
    return bool(kind == DASHED and dash > begin and is_digit(data[dash - 1]))


@njit(cache=True)
def part_of_more(data: Bytes, begin: int, at: int, stop: int, end: int) -> bool:
    """Whether ``data[at:stop]`` goes on in letters or digits, directly or across one of ``-./:,``
    as dates, paths, decimals and identifiers do; across dashes beyond ASCII in digits alone."""
    if letter_before(data, begin, at) or letter_after(data, stop, end):
        return True
    if _digit_across_dash(data, begin, at, stop, end):
        return True
    if at - begin >= 2:
        sign = data[at - 1]
        if sign in (_DASH, _SLASH, _DOT):
            if is_alnum(data[at - 2]):
                return True
        elif sign in (_COMMA, _COLON) and is_digit(data[at - 2]):
            return True
    if stop + 1 < end:
        sign = data[stop]
        if sign in (_DASH, _SLASH):
            return bool(is_alnum(data[stop + 1]))
        if sign in (_DOT, _COMMA, _COLON):
            return bool(is_digit(data[stop + 1]))
        return bool(sign == 0x40)
    return False


@njit(cache=True)
def find_card(data: Bytes, begin: int, at: int, end: int, digits: Bytes) -> int:
    """A payment card's number that begins with the digit ``at``; ``digits`` is room for 19."""
    count = 0
    stop = at
    while stop < end and is_digit(data[stop]) and count <= MAX_CARD:
        if count < MAX_CARD:
            digits[count] = data[stop] - 0x30
        count += 1
        stop += 1
    if count == 4:
        return int(_grouped_card(data, begin, at, end, digits))
    if count < MIN_CARD or count > MAX_CARD or part_of_more(data, begin, at, stop, end):
        return at
    return stop if _is_card(data, begin, at, digits, count) else at


@njit(cache=True)
def _is_card(data: Bytes, begin: int, at: int, digits: Bytes, count: int) -> bool:
    kind = card_kind(digits, count)
    if kind == MAYBE_A_CARD:
        return bool(word_before(data, begin, at, _CARD_REACH, _CARD_WORDS))
    return bool(kind == CARD)


@njit(cache=True)
def _grouped_card(data: Bytes, begin: int, at: int, end: int, digits: Bytes) -> int:
    between, _ = separator(data, at + 4, end)
    if between == NO_SEPARATOR:
        return at
    for row in range(len(_GROUPS)):
        stop, count = at, 0
        for size in _GROUPS[row]:
            if size == 0:
                break
            if count > 0:
                kind, width = separator(data, stop, end)
                if kind != between:
                    stop = at
                    break
                stop += width
            for _ in range(size):
                if stop >= end or not is_digit(data[stop]):
                    stop = at
                    break
                digits[count] = data[stop] - 0x30
                count += 1
                stop += 1
            if stop == at:
                break
        if (
            stop > at
            and not part_of_more(data, begin, at, stop, end)
            and _is_card(data, begin, at, digits, count)
        ):
            return stop
    return at


@njit(cache=True)
def iban_start(data: Bytes, begin: int, at: int) -> int:
    """Where an IBAN whose check digits begin ``at`` would begin, or ``at``."""
    if at - begin < 2 or data[at - 1] < 0x41 or data[at - 2] < 0x41:
        return at
    if not (is_alnum(data[at - 1]) and is_alnum(data[at - 2])):
        return at
    if data[at - 1] == 0x5F or data[at - 2] == 0x5F or letter_before(data, begin, at - 2):
        return at
    return at - 2


@njit(cache=True)
def find_iban(data: Bytes, at: int, end: int, characters: Bytes) -> int:
    """An IBAN that begins ``at`` with its country: in one piece, in capitals or in small letters,
    or in capitals in groups of four, with spaces or with dashes between. ``characters`` is room for
    33."""
    case = data[at] & 0x20
    first, second = data[at] & 0xDF, data[at + 1] & 0xDF
    length = iban_length(first, second)
    if length == 0 or length > MAX_IBAN:
        return at
    between, _ = separator(data, at + 4, end)
    grouped = case == 0 and between != NO_SEPARATOR
    here = at
    for count in range(length):
        if grouped and count > 0 and count % 4 == 0:
            kind, width = separator(data, here, end)
            if kind != between:
                return at
            here += width
        if here >= end or not is_alnum(data[here]) or data[here] == 0x5F:
            return at
        byte = data[here]
        if not is_digit(byte):
            if byte & 0x20 != case or count == 2 or count == 3:
                return at
            byte &= 0xDF
        characters[count] = byte
        here += 1
    if letter_after(data, here, end) or not passes_mod97(characters, length):
        return at
    return here
