"""Check digits are checked, and issuers and countries known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.pii.checksums import (
    CARD,
    IBAN_LENGTHS,
    MAYBE_A_CARD,
    NOT_A_CARD,
    card_kind,
    digits_of,
    iban_length,
    passes_luhn,
    passes_mod97,
)

numbers = st.text("0123456789", min_size=1, max_size=19)


def luhn(text: str) -> bool:
    """As ISO/IEC 7812-1 says it, in plain Python."""
    doubled = [int(c) * 2 if i % 2 else int(c) for i, c in enumerate(reversed(text))]
    return sum(sum(map(int, str(value))) for value in doubled) % 10 == 0


def mod97(text: str) -> bool:
    moved = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def card(text: str) -> int:
    digits = digits_of(text)
    return int(card_kind(digits, len(digits)))


def characters(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


@given(numbers)
def test_luhn_is_that_of_the_standard(text: str) -> None:
    assert passes_luhn(digits_of(text), len(text)) == luhn(text)


@given(numbers)
def test_one_check_digit_in_ten_is_right(text: str) -> None:
    assert sum(passes_luhn(digits_of(text + last), len(text) + 1) for last in "0123456789") == 1


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=33))
def test_mod97_is_that_of_the_standard(text: str) -> None:
    assert passes_mod97(characters(text), len(text)) == mod97(text)


# Examples of the IBAN Registry.
@pytest.mark.parametrize(
    "iban",
    [
        "GB33BUKB20201555555555",
        "DE89370400440532013000",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
    ],
)
def test_examples_of_the_registry_pass(iban: str) -> None:
    assert passes_mod97(characters(iban), len(iban))
    assert iban_length(ord(iban[0]), ord(iban[1])) == len(iban)
    swapped = iban[:-2] + iban[-1] + iban[-2]
    assert passes_mod97(characters(swapped), len(swapped)) == (swapped == iban)


def test_lengths_are_of_countries() -> None:
    assert {min(IBAN_LENGTHS.values()), max(IBAN_LENGTHS.values())} == {15, 33}
    assert iban_length(ord("U"), ord("S")) == 0
    assert iban_length(ord("Z"), ord("Z")) == 0


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        # Numbers for tests, as payment networks and processors publish them.
        ("4111111111111111", CARD),
        ("5555555555554444", CARD),
        ("2223003122003222", CARD),
        ("378282246310005", CARD),
        ("30569309025904", CARD),
        ("6011111111111117", CARD),
        ("3530111333300000", CARD),
        ("6200000000000005", CARD),
        ("4222222222222", MAYBE_A_CARD),
        ("6759649826438453", MAYBE_A_CARD),
        ("4111111111111112", NOT_A_CARD),  # wrong check digit
        ("1234567812345670", NOT_A_CARD),  # no such issuer
        ("41111111111111", NOT_A_CARD),  # Visa has no 14 digits
        ("00000000000", NOT_A_CARD),
    ],
)
def test_cards_have_an_issuer_its_length_and_a_check_digit(number: str, kind: int) -> None:
    assert card(number) == kind


@given(st.text("0123456789", max_size=25))
def test_a_card_always_passes_luhn(text: str) -> None:
    if card(text[:19]) != NOT_A_CARD:
        assert luhn(text[:19])
        assert 12 <= len(text[:19]) <= 19
