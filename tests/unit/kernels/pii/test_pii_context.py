"""Words beside a number are found, and what is glued to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.pii.pii_context import letter_after, letter_before, stems, word_after, word_before

TABLE = stems("tel phone* telefono* téléphone")


def data(text: str) -> np.ndarray:
    return np.frombuffer(text.encode() or b"\0", dtype=np.uint8)


def before(text: str, reach: int = 32) -> bool:
    return bool(word_before(data(text), 0, len(text.encode()), reach, TABLE))


def after(text: str, reach: int = 3) -> bool:
    return bool(word_after(data(text), 0, len(text.encode()), reach, TABLE))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tel ", True),
        ("Tel.: ", True),
        ("TEL", True),
        ("telling ", False),  # "tel" must end there
        ("phones are: ", True),  # "phone" may go on
        ("telefonos: ", True),  # stems are eight bytes
        ("téléphone ", True),
        ("motel ", False),
        ("my phone number is now ", True),
        ("phone 12 ", False),  # names another number
        ("phone" + " " * 40, False),  # out of reach
        ("", False),
        ("12", False),
    ],
)
def test_a_word_before_names_the_number(text: str, found: bool) -> None:
    assert before(text) == found


def test_a_word_that_the_reach_cuts_is_none() -> None:
    assert before("phone is ", 9)
    assert not before("microphone is ", 9)  # leaves "phone is"


@pytest.mark.parametrize(
    ("text", "found"),
    [("-tel", True), (" tel", True), (" (tel)", True), ("    tel", False), ("\ntel", False)],
)
def test_a_word_after_names_the_number(text: str, found: bool) -> None:
    assert after(text) == found


def test_a_digit_before_the_next_word_ends_the_search() -> None:
    assert not after("1tel")


@pytest.mark.parametrize(
    ("char", "glued"),
    [
        ("a", True),
        ("7", True),
        ("_", True),
        ("é", True),
        ("ж", True),
        ("€", True),
        ("£", True),
        ("$", True),
        (" ", False),
        ("(", False),
        ("“", False),
        ("·", False),
        ("中", False),
        ("の", False),
    ],
)
def test_letters_and_currencies_are_glued_and_scripts_without_spaces_are_not(
    char: str, glued: bool
) -> None:
    raw = data(char)
    assert letter_before(raw, 0, len(raw)) == glued
    if char not in "€£$":
        assert letter_after(raw, 0, len(raw)) == glued


@given(st.text(max_size=30), st.integers(0, 40))
def test_any_text_has_an_answer(text: str, reach: int) -> None:
    raw = data(text)
    end = len(text.encode())
    for at in range(end + 1):
        if at == end or raw[at] & 0xC0 != 0x80:
            word_before(raw, 0, at, reach, TABLE)
            word_after(raw, at, end, reach, TABLE)
            letter_before(raw, 0, at)
            letter_after(raw, at, end)
    assert before(text + " tel ")
