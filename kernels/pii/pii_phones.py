"""Telephone numbers in UTF-8 bytes.

No check digit tells a telephone number, so its form must, or a word that names it:

- international (ITU-T E.164): ``+`` or ``00``, country code, up to 15 digits;
- North American: 3, 3 and 4 digits, neither of the first two groups beginning with 0 or 1;
- with a trunk prefix: 9 to 11 digits in groups, the first beginning with a single 0;
- anything else of 7 to 15 digits only beside a word such as "phone", "fax" or "call", and not
  where it has the form of a date, a span of years, or another kind of number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.pii.pii_context import (
    DASHED,
    SPACED,
    is_digit,
    separator,
    stems,
    word_after,
    word_before,
)
from kernels.pii.pii_numbers import part_of_more
from kernels.text.utf8 import Bytes

Groups = npt.NDArray[np.int64]

MIN_DIGITS, MAX_DIGITS = 7, 15
MAX_GROUPS = 8
_SPACE, _DASH, _DOT, _SLASH, _OPEN, _CLOSE, _PLUS = 0x20, 0x2D, 0x2E, 0x2F, 0x28, 0x29, 0x2B
# What ``_parse`` notes after the groups' lengths.
_COUNT, _DIGITS, _STOP, _SIGNS, _BRACKETS = range(MAX_GROUPS, MAX_GROUPS + 5)
ROOM = MAX_GROUPS + 5
_SPACED, _DASHED, _DOTTED, _SLASHED = SPACED, DASHED, 4, 8

# Words that say that a telephone number follows.
_NAMES = stems(
    "phone* telephon* telefon* téléphon* teléfon* tel tlf tél ph fax* telefax* mobile mobiles "
    "mobil móvil celular* cell cellphon* cellular* handy gsm whatsapp hotline* helpline* pager "
    "landline*"
)
# Words that make one likely.
_DEEDS = stems("call* dial* messag* answer* sms reach* contact* texting")
# Words of contact lists; they name a number when nothing stands between.
_PLACES = stems(
    "office desk home work switchboard mobile fax cell tel phone telephone landline voice hotline "
    "mob"
)
_NAME_REACH, _DEED_REACH, _PLACE_REACH = 32, 40, 10


@njit(cache=True)
def _sign(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Which kind of sign between groups stands ``at``, 0 for none, and its width in bytes."""
    if at < end and data[at] == _DOT:
        return _DOTTED, 1
    if at < end and data[at] == _SLASH:
        return _SLASHED, 1
    return separator(data, at, end)  # type: ignore[no-any-return]


@njit(cache=True)
def _parse(data: Bytes, at: int, end: int, opened: bool, plus: bool, groups: Groups) -> None:
    """Read groups of digits from ``at`` on, as long as they may be one number.

    One group may stand in brackets; ``opened`` says that the first does. After a ``plus`` groups
    are read as long as they fit, whatever signs are between them.
    """
    groups[:] = 0
    groups[_BRACKETS] = opened
    here = at
    while groups[_COUNT] < MAX_GROUPS:
        start = here
        while here < end and is_digit(data[here]):
            here += 1
        if plus and groups[_COUNT] > 1 and groups[_DIGITS] + here - start > MAX_DIGITS:
            return
        groups[groups[_COUNT]] = here - start
        groups[_COUNT] += 1
        groups[_DIGITS] += here - start
        groups[_STOP] = here
        closed = opened and here < end and data[here] == _CLOSE
        if opened and not closed:
            groups[_DIGITS] = 0
            return
        opened = False
        if closed:
            here += 1
            groups[_STOP] = here
        sign, width = _sign(data, here, end)
        joined = groups[_SIGNS] & (_DASHED | _DOTTED)
        if groups[_DIGITS] >= MIN_DIGITS and sign == _SPACED and joined and not plus:
            return  # a space ends what other signs have joined
        if sign == 0 and not closed:
            return
        if sign:
            here += width
        if here + 1 < end and data[here] == _SLASH and data[here + 1] == _SPACE:
            here += 2  # "069 / 1234567"
            sign = _SLASHED
        if here < end and data[here] == _OPEN and not groups[_BRACKETS]:
            opened = True
            groups[_BRACKETS] = 1
            here += 1
        if here >= end or not is_digit(data[here]) or groups[_DIGITS] > MAX_DIGITS:
            return
        groups[_SIGNS] |= sign


@njit(cache=True)
def find_phone(data: Bytes, begin: int, digit: int, end: int, groups: Groups) -> tuple[int, int]:
    """Where the telephone number with its first ``digit`` there begins and ends; the same place
    twice when there is none. ``groups`` is room for ROOM numbers."""
    close = digit
    while close < end and is_digit(data[close]):
        close += 1
    opened = digit > begin and data[digit - 1] == _OPEN and close < end and data[close] == _CLOSE
    at = digit - 1 if opened else digit
    plus = at > begin and data[at - 1] == _PLUS
    if plus:
        at -= 1
    _parse(data, digit, end, opened, plus, groups)
    if groups[_DIGITS] > MAX_DIGITS or groups[_DIGITS] < MIN_DIGITS:
        return digit, digit
    stop = _extension(data, groups[_STOP], end)
    placed = word_after(data, stop, end, 3, _PLACES)
    # "788-063-Office" goes on in letters, but they name the number.
    if part_of_more(data, begin, at, stop, min(end, stop + 1) if placed else end):
        return digit, digit
    if plus:
        last = groups[groups[_COUNT] - 1]
        found = data[digit] != 0x30 and last >= 2
    else:
        found = _is_abroad(data, digit, groups) or _is_national(data, digit, groups)
        if not found and _may_be_named(data, digit, groups):
            found = placed or _is_named(data, begin, at, groups)
    return (at, stop) if found else (digit, digit)


@njit(cache=True)
def _extension(data: Bytes, at: int, end: int) -> int:
    """Where an extension ("x123", "ext. 123") behind a number ends; ``at`` without one."""
    here = at
    if here < end and data[here] == _SPACE:
        here += 1
    if here < end and data[here] | 0x20 == 0x65:  # e, x, t
        if here + 2 >= end or data[here + 1] | 0x20 != 0x78 or data[here + 2] | 0x20 != 0x74:
            return at
        here += 3
    elif here < end and data[here] | 0x20 == 0x78:
        here += 1
    else:
        return at
    while here < end and (data[here] == _DOT or data[here] == _SPACE) and here - at < 7:
        here += 1
    start = here
    while here < end and is_digit(data[here]) and here - start < 6:
        here += 1
    return here if here > start else at


@njit(cache=True)
def _group_start(data: Bytes, digit: int, number: int) -> int:
    """Where group ``number`` of those from ``digit`` on begins; there must be so many."""
    for _ in range(number):
        while is_digit(data[digit]):
            digit += 1
        while not is_digit(data[digit]):
            digit += 1
    return digit


@njit(cache=True)
def _is_abroad(data: Bytes, digit: int, groups: Groups) -> bool:
    """Whether a number begins with 00 and a country code, and has groups like a printed one."""
    zeros = data[digit] == 0x30 and data[digit + 1] == 0x30 and data[digit + 2] != 0x30
    count = groups[_COUNT]
    return bool(
        zeros and groups[0] >= 3 and count >= 3 and groups[_DIGITS] >= 10 and groups[count - 1] >= 2
    )


@njit(cache=True)
def _is_national(data: Bytes, digit: int, groups: Groups) -> bool:
    count, total = groups[_COUNT], groups[_DIGITS]
    if data[digit] == 0x30:
        # Of two groups the first may be a postal code.
        if count < 2 or total < (9 if count > 2 else 10) or total > 11 or data[digit + 1] == 0x30:
            return False
        for i in range(count):  # an ISBN or a decimal begins with a group of one digit
            if groups[i] < 2:
                return False
        if count == 3 and groups[0] == 3 and groups[1] == 3 and groups[2] == 3:
            return False  # thousands
        mixed = not groups[_BRACKETS] and groups[_SIGNS] & (groups[_SIGNS] - 1)
        dotted = groups[_SIGNS] == _DOTTED and count < 3
        return not mixed and not dotted and not _is_social(groups)
    first = 0
    here = digit
    if groups[0] == 1 and data[digit] == 0x31 and count == 4:
        first, here = 1, _group_start(data, digit, 1)
    elif count != 3:
        return False
    if groups[first] != 3 or groups[first + 1] != 3 or groups[first + 2] != 4:
        return False
    if groups[_SIGNS] == _SPACED and not groups[_BRACKETS]:
        return False  # three numbers in a row look the same
    if groups[_SIGNS] & _SLASHED:
        return False
    second = _group_start(data, here, 1)
    return bool(data[here] >= 0x32 and data[second] >= 0x32)


@njit(cache=True)
def _is_named(data: Bytes, begin: int, at: int, groups: Groups) -> bool:
    """Whether a word before the number says that it is one."""
    if word_before(data, begin, at, _NAME_REACH, _NAMES):
        return True
    colon = at
    while colon > begin and (data[colon - 1] == _SPACE or data[colon - 1] == 0x0A):
        colon -= 1
    if colon > begin and data[colon - 1] == 0x3A:
        return bool(word_before(data, begin, at, _PLACE_REACH, _PLACES))
    return bool(groups[_COUNT] > 1 and word_before(data, begin, at, _DEED_REACH, _DEEDS))


@njit(cache=True)
def _may_be_named(data: Bytes, digit: int, groups: Groups) -> bool:
    """Whether the groups are no date, years, decimal, or identity number, which stand beside such
    words too."""
    count = groups[_COUNT]
    a, b, c = groups[0], groups[1], groups[2]
    for i in range(count):
        if groups[i] < 2 and (i > 0 or groups[_SIGNS] & _DOTTED):
            return False
    if count == 1:
        return True
    if count == 2:
        if groups[_SIGNS] & (_DOTTED | _SLASHED):
            return False
        if a == 4 and b == 4:
            return not (_is_year(data, digit) and _is_year(data, _group_start(data, digit, 1)))
        return not (a == 5 and b <= 4 and groups[_SIGNS] == _DASHED)  # postal codes
    if count == 3:
        if _is_social(groups):
            return False
        if a == 4 and b == 2 and c == 2:
            return not _is_year(data, digit)
        if a == 2 and b == 2 and c == 4:
            return not _is_year(data, _group_start(data, digit, 2))
    return True


@njit(cache=True)
def _is_social(groups: Groups) -> bool:
    """Whether the groups are those of a social security number of the US."""
    return bool(groups[_COUNT] == 3 and groups[0] == 3 and groups[1] == 2 and groups[2] == 4)


@njit(cache=True)
def _is_year(data: Bytes, at: int) -> bool:
    return bool(
        (data[at] == 0x31 and data[at + 1] >= 0x35) or (data[at] == 0x32 and data[at + 1] == 0x30)
    )
