"""Characters are read, classified and lowered as Python does; rows are put together anew."""

from __future__ import annotations

import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.text.edits import (
    ALNUM,
    CODE_POINTS,
    DECIMAL,
    DIGIT,
    UPPER,
    WORD,
    char_width,
    code_point,
    code_point_before,
    lower,
    properties,
    split,
    strings,
    stripped,
)
from kernels.text.utf8 import text_buffers

EVERYTHING = "".join(map(chr, range(CODE_POINTS)))
VALID = EVERYTHING[:0xD800] + EVERYTHING[0xE000:]
texts = st.text(st.characters(exclude_categories=["Cs"]))


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


@pytest.mark.parametrize(("bit", "pattern"), [(WORD, r"\w"), (DECIMAL, r"\d")])
def test_words_and_digits_are_those_of_regular_expressions(bit: int, pattern: str) -> None:
    expected = {ord(char) for char in re.findall(pattern, EVERYTHING)}
    assert set(np.flatnonzero(properties() & bit).tolist()) == expected


@pytest.mark.parametrize(
    ("bit", "test"), [(ALNUM, str.isalnum), (DIGIT, str.isdigit), (UPPER, str.isupper)]
)
def test_other_properties_are_those_of_str(bit: int, test: object) -> None:
    assert callable(test)
    expected = {code for code, char in enumerate(EVERYTHING) if test(char)}
    assert set(np.flatnonzero(properties() & bit).tolist()) == expected


def test_an_underscore_is_part_of_words_but_not_alphanumeric() -> None:
    assert properties()[ord("_")] == WORD


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_characters_are_read_from_both_ends(text: str) -> None:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    at = 0
    for char in text:
        assert code_point(data, at) == ord(char)
        at += char_width(data[at])
        assert code_point_before(data, at) == ord(char)
    assert at == len(data)


@pytest.mark.parametrize(
    "char", ["\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff"]
)
def test_edges_of_the_encoding(char: str) -> None:
    data = np.frombuffer(f"a{char}".encode(), dtype=np.uint8)
    assert code_point(data, 1) == ord(char) == code_point_before(data, len(data))
    assert char_width(data[1]) == len(data) - 1


@given(
    st.lists(
        st.one_of(
            texts, st.text("ΑΣσςaB\u0130I\u0131\u212a\u212b\u023a\u0301 .\U00010400", max_size=12)
        )
    )
)
def test_lower_case_is_that_of_str(rows: list[str]) -> None:
    assert lower(arrow(rows)).to_pylist() == [row.lower() for row in rows]


def test_every_character_has_the_lower_case_of_str() -> None:
    assert sys.maxunicode + 1 == len(EVERYTHING)
    rows = [char for char in VALID if char != "Σ"]
    assert lower(arrow(rows)).to_pylist() == [char.lower() for char in rows]


def test_lower_case_of_a_slice_is_that_of_its_rows() -> None:
    rows = lower(arrow(["AB", "ΣΑΣ", "İ", "Cd"])[1:3])
    assert rows.to_pylist() == ["σας", "i̇"]
    assert lower(arrow([])).to_pylist() == []


@given(st.lists(st.text(st.sampled_from("a é\n\x85\u2028\u3000\x1c\x00"))))
def test_rows_are_stripped_as_str_does(rows: list[str]) -> None:
    data, offsets = text_buffers(arrow(["before", *rows])[1:])
    assert stripped(data, offsets).to_pylist() == [row.strip() for row in rows]


@given(st.lists(texts))
def test_rows_are_what_was_written(rows: list[str]) -> None:
    data = np.frombuffer("".join(rows).encode() + b"more", dtype=np.uint8)
    ends = np.cumsum([0, *(len(row.encode()) for row in rows)])
    found = strings(data, ends)
    found.validate(full=True)
    assert found.to_pylist() == rows


@given(st.lists(st.text("a\né,", max_size=9)), st.data())
def test_rows_are_split_at_a_byte(rows: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)) if rows else st.just([]))
    values, offsets = text_buffers(arrow(["a\nb", *rows])[1:])
    found = split(values, offsets, np.array(chosen, dtype=np.int64), ord("\n"))
    found.validate(full=True)
    assert found.to_pylist() == [piece for row in chosen for piece in rows[row].split("\n")]
