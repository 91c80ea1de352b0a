"""Characters, white space and line breaks of UTF-8 buffers agree with Python's strings."""

from __future__ import annotations

import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.text.utf8 import (
    code_points,
    drop_space,
    find_line_break,
    line_break_width,
    same_bytes,
    skip_space,
    space_width,
    text_buffers,
)

SPACES = [chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace()]
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
texts = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(SPACES)))


def buffer(text: str) -> np.ndarray:
    return np.frombuffer(text.encode() or b"", dtype=np.uint8)


def characters() -> list[str]:
    """Every character of the planes in use, but for lone surrogates."""
    return [chr(c) for c in range(0x30000) if unicodedata.category(chr(c)) != "Cs"]


def test_the_white_space_characters_are_those_of_str_isspace() -> None:
    wrong = [
        char
        for char in characters()
        if space_width(buffer(char), 0) != (len(char.encode()) if char.isspace() else 0)
    ]
    assert wrong == []


def test_the_line_breaks_are_those_of_str_splitlines() -> None:
    wrong = []
    for char in characters():
        data = buffer(char)
        expected = len(data) if len(f"a{char}b".splitlines()) == 2 else 0
        if line_break_width(data, 0, len(data)) != expected:
            wrong.append(char)
    assert wrong == []


def test_carriage_return_and_newline_are_one_break_unless_cut_apart() -> None:
    data = buffer("\r\n")
    assert line_break_width(data, 0, 2) == 2
    assert line_break_width(data, 0, 1) == 1


@settings(deadline=None)
@given(texts)
def test_stripping_agrees_with_python(text: str) -> None:
    data = buffer(text)
    start = skip_space(data, 0, len(data))
    assert data[start:].tobytes().decode() == text.lstrip()
    assert data[: drop_space(data, 0, len(data))].tobytes().decode() == text.rstrip()


@settings(deadline=None)
@given(texts)
def test_length_is_in_code_points(text: str) -> None:
    data = buffer(text)
    assert code_points(data, 0, len(data)) == len(text)


@settings(deadline=None)
@given(st.lists(st.one_of(texts, st.sampled_from(BREAKS))).map("".join))
def test_the_first_line_ends_at_the_first_break(text: str) -> None:
    data = buffer(text)
    first = text.splitlines()[0] if text else ""
    assert data[: find_line_break(data, 0, len(data))].tobytes().decode() == first


@settings(deadline=None)
@given(st.lists(texts), st.integers(0, 3))
def test_buffers_of_a_slice_give_back_its_texts(rows: list[str], skipped: int) -> None:
    array = pa.array(rows, pa.large_string())[skipped:]
    data, offsets = text_buffers(array)
    found = [data[a:b].tobytes().decode() for a, b in pairwise(offsets)]
    assert found == rows[skipped:]


def test_an_array_without_rows_has_one_offset() -> None:
    data, offsets = text_buffers(pa.array([], pa.large_string()))
    assert len(data) == 0
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("rows", [[], [""], ["a", "né"]])
def test_arrays_are_read_only_also_where_arrow_may_write(rows: list[str]) -> None:
    made = pa.array(rows, pa.large_string())
    copied = [
        part if part is None else pa.py_buffer(bytearray(part.to_pybytes()))
        for part in made.buffers()
    ]
    writable = pa.Array.from_buffers(pa.large_string(), len(rows), copied)
    for text in (made, writable):
        assert [array.flags.writeable for array in text_buffers(text)] == [False, False]


def test_null_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        text_buffers(pa.array(["a", None], pa.large_string()))


@settings(deadline=None)
@given(texts, texts)
def test_hashes_and_comparison_tell_texts_apart(left: str, right: str) -> None:
    a, b = buffer(left), buffer(right)
    equal = len(a) == len(b) and same_bytes(a, 0, b, 0, len(a))
    assert equal == (left == right)
