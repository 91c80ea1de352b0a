"""Numbers that carry a check digit: payment cards (Luhn) and bank accounts (IBAN)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.text.utf8 import Bytes

# Characters of an IBAN by country: SWIFT, IBAN Registry (ISO 13616).
_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FK FI FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {name: size for size, names in _BY_LENGTH.items() for name in names.split()}
MAX_IBAN = max(IBAN_LENGTHS.values())
MIN_CARD, MAX_CARD = 12, 19
NOT_A_CARD, CARD, MAYBE_A_CARD = 0, 1, 2

_LENGTHS = np.zeros(26 * 26, dtype=np.int64)
for _name, _size in IBAN_LENGTHS.items():
    _LENGTHS[(ord(_name[0]) - 65) * 26 + ord(_name[1]) - 65] = _size

# First four digits from and to, shortest and longest number, and whether the digits alone tell:
# issuer identification numbers (ISO/IEC 7812) as the networks publish them. Numbers of 12 or 13
# digits and the old ranges of JCB and Maestro are as likely to be something else.
_ISSUERS = np.array(
    [
        (4000, 4999, 16, 16, CARD),  # Visa
        (4000, 4999, 19, 19, CARD),
        (4000, 4999, 13, 13, MAYBE_A_CARD),
        (5100, 5599, 16, 16, CARD),  # Mastercard
        (2221, 2720, 16, 16, CARD),
        (3400, 3499, 15, 15, CARD),  # American Express
        (3700, 3799, 15, 15, CARD),
        (3000, 3059, 14, 14, CARD),  # Diners Club
        (3095, 3095, 14, 14, CARD),
        (3600, 3699, 14, 14, CARD),
        (3800, 3999, 14, 14, CARD),
        (3528, 3589, 16, 19, CARD),  # JCB
        (1800, 1800, 15, 15, MAYBE_A_CARD),
        (2131, 2131, 15, 15, MAYBE_A_CARD),
        (3500, 3527, 16, 16, MAYBE_A_CARD),
        (3590, 3599, 16, 16, MAYBE_A_CARD),
        (6011, 6011, 16, 19, CARD),  # Discover
        (6440, 6599, 16, 19, CARD),
        (6200, 6299, 16, 19, CARD),  # UnionPay
        (2200, 2204, 16, 16, CARD),  # Mir
        (5000, 5099, 12, 19, MAYBE_A_CARD),  # Maestro
        (5600, 5899, 12, 19, MAYBE_A_CARD),
        (6300, 6399, 12, 19, MAYBE_A_CARD),
        (6700, 6799, 12, 19, MAYBE_A_CARD),
    ],
    dtype=np.int64,
)


@njit(cache=True)
def passes_luhn(digits: Bytes, count: int) -> bool:
    """Whether ``digits[:count]`` (values 0 to 9) end in the check digit of ISO/IEC 7812-1."""
    total = 0
    for i in range(count):
        digit = int(digits[count - 1 - i])
        if i % 2:
            digit = 2 * digit - (9 if digit > 4 else 0)
        total += digit
    return total % 10 == 0


@njit(cache=True)
def card_kind(digits: Bytes, count: int) -> int:
    """CARD when an issuer gives out such numbers and the check digit is right, MAYBE_A_CARD when
    that proves too little without a word about cards beside it, else NOT_A_CARD."""
    if count < MIN_CARD or count > MAX_CARD or not passes_luhn(digits, count):
        return NOT_A_CARD
    head = 0
    for i in range(4):
        head = head * 10 + int(digits[i])
    found = NOT_A_CARD
    for i in range(len(_ISSUERS)):
        if _ISSUERS[i, 0] <= head <= _ISSUERS[i, 1] and _ISSUERS[i, 2] <= count <= _ISSUERS[i, 3]:
            if _ISSUERS[i, 4] == CARD:
                return CARD
            found = MAYBE_A_CARD
    return found


@njit(cache=True)
def iban_length(first: int, second: int) -> int:
    """Characters of an IBAN whose country code is these two capitals (ASCII), or 0."""
    return int(_LENGTHS[(first - 65) * 26 + second - 65])


@njit(cache=True)
def passes_mod97(characters: Bytes, count: int) -> bool:
    """Whether ``characters[:count]`` (ASCII digits and capitals, country code first) leave 1 when
    divided by 97, letters counting from A = 10 and the first four moved to the end (ISO 7064)."""
    rest = np.int64(0)
    for i in range(count):
        byte = np.int64(characters[(i + 4) % count])
        rest = (rest * 10 + byte - 48 if byte < 65 else rest * 100 + byte - 55) % 97
    return bool(rest == 1)


def digits_of(text: str) -> npt.NDArray[np.uint8]:
    """The values of the ASCII digits in ``text``."""
    return np.array([ord(c) - 48 for c in text if "0" <= c <= "9"], dtype=np.uint8)
