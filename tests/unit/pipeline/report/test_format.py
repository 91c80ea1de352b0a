from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.format import (
    column,
    formatted,
    is_numeric,
    number,
    share,
    size,
    split_invisible,
    visible,
)

ANY_TEXT = st.text(st.characters())  # surrogates too


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("NUL \x00 and ESC \x1b", "NUL U+0000 and ESC U+001B"),
        ("\x7f\x85", "U+007FU+0085"),
        ("pay \u202e0001\u202c now", "pay U+202E0001U+202C now"),
        ("\ufeffBOM, zero\u200bwidth", "U+FEFFBOM, zeroU+200Bwidth"),
        ("lone \ud800 surrogate", "lone U+D800 surrogate"),
        ("tag \U000e0041", "tag U+E0041"),
        ("a\r\nb\rc\td", "a\nbU+000Dc\td"),
        ("naïve — 日本語 👩‍💻 می‌خواهم", "naïve — 日本語 👩‍💻 می‌خواهم"),
    ],
)
def test_hidden_characters_are_written_out_and_real_scripts_left_alone(
    raw: str, shown: str
) -> None:
    assert visible(raw) == shown


@given(ANY_TEXT)
def test_visible_text_has_no_controls_and_can_be_encoded(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\t\n"]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "FSI")]
    assert visible(shown) == shown


@given(ANY_TEXT)
def test_the_pieces_of_a_split_join_to_the_visible_text(text: str) -> None:
    pieces = split_invisible(text)
    assert "".join(piece for piece, _ in pieces) == visible(text)
    assert all(visible(piece) == piece for piece, _ in pieces)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (91_234_567, "91.2 MB"),
        (1.5e12, "1.5 TB"),
        (2e18, "2,000.0 PB"),
    ],
)
def test_sizes_change_unit_before_they_would_round_to_a_thousand(count: float, text: str) -> None:
    assert size(count) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0.0 %"),
        (1, 8, "12.5 %"),
        (9, 9, "100.0 %"),
        (0, 0, "—"),
        (1, 10_000, "< 0.1 %"),
        (9_999, 10_000, "> 99.9 %"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (-5, "−5"),
        (0, "0"),
        (None, "—"),
        (0.0, "0"),
        (-0.0, "0"),
        (2.04125, "2.0412"),
        (1234.5678, "1,235"),
        (12.3456, "12.35"),
        (0.0123456, "0.01235"),
        (0.5, "0.5"),
        (3.0, "3"),
        (1e-7, "1\u00a0×\u00a010⁻⁷"),
        (-2.5e-6, "−2.5\u00a0×\u00a010⁻⁶"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_are_as_long_as_they_are_informative(value: int | float | None, text: str) -> None:
    assert number(value) == text


def test_a_column_shares_its_decimals_so_that_points_align() -> None:
    assert column([2.0, -0.0123, None, 7, "base"]) == ["2.0000", "−0.0123", "—", "7", "base"]
    assert column([0.25, 0.5, 1.0]) == ["0.25", "0.50", "1.00"]


def test_a_small_value_in_a_column_does_not_become_zero() -> None:
    shown = ["0.4100", "< 0.0001", "> −0.0001", "0.0000"]
    assert column([0.41, 0.00003, -0.00002, 0.0]) == [t.replace(" ", "\u00a0") for t in shown]


def test_values_of_different_kinds_in_one_column_each_stand_for_themselves() -> None:
    assert column([33_012.5, 0.8213, 12.5]) == ["33,012", "0.8213", "12.5"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_no_column_shows_zero_for_a_value_that_is_not(values: list[float]) -> None:
    for value, text in zip(values, column(values), strict=True):
        assert (value == 0) == (not any(digit in text for digit in "123456789"))


@pytest.mark.parametrize(
    "cell",
    [
        "12",
        "1,234.5",
        "−0.5",
        "12.5 %",
        "< 0.1 %",
        "11.2 MB",
        "[−0.01, 0.02]",
        "1.2 ± 0.3",
        "2.5\u00a0×\u00a010⁻⁶",
        "0.9 (0.8–1.0)",
        "41 s",
        "3–5",
    ],
)
def test_numbers_with_units_and_intervals_are_set_as_numbers(cell: str) -> None:
    assert is_numeric(cell)


@pytest.mark.parametrize("cell", ["", "wiki", "3 of 5 seeds were better", "2026 runs", "gopher_2"])
def test_words_are_not_numbers(cell: str) -> None:
    assert not is_numeric(cell)


def test_measured_values_are_said_in_words() -> None:
    assert [formatted(v) for v in (True, False, None, 3, 0.25, "x", [1, 2], {"a": 1})] == [
        *("yes", "no", "—", "3", "0.25", "x", "[1,2]", '{"a":1}')
    ]
