"""Look-ups find what Python's sets, splits and searches find."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.match.urls import contain_any, count_words, enter_lines, find_texts, make_trie
from kernels.text.utf8 import text_buffers

texts = st.lists(st.text("aAbB1é-/ \n\0", max_size=12), max_size=8)
entries = st.lists(st.text("abB1é.", max_size=4), max_size=8)
words = st.lists(st.text("ab1", min_size=1, max_size=3), max_size=5)


def found_texts(lines: bytes, rows: list[str]) -> list[bool]:
    found = np.zeros(len(rows), dtype=np.bool_)
    find_texts(enter_lines(lines), *text_buffers(pa.array(rows, pa.large_string())), found)
    return [bool(value) for value in found]


@pytest.mark.parametrize("end", ["", "\n"])
@given(lines=entries, rows=entries)
def test_a_text_is_found_when_it_is_a_line(end: str, lines: list[str], rows: list[str]) -> None:
    known = {*lines} - {""}
    raw = ("\n".join(lines) + end).encode()
    assert found_texts(raw, rows) == [row in known for row in rows]
    assert found_texts(raw, lines) == [line != "" for line in lines]


def test_a_part_of_a_line_is_not_a_line() -> None:
    rows = ["ab", "abc", "bc", "abc\nde", "de", "c", "de\n"]
    assert found_texts(b"abc\nde", rows) == [False, True, False, False, True, False, False]


def test_what_was_found_before_stays_found() -> None:
    found = np.array([True, False])
    data, offsets = text_buffers(pa.array(["x", "a"], pa.large_string()))
    find_texts(enter_lines(b"a"), data, offsets, found)
    assert found.tolist() == [True, True]


def test_many_lines_fill_a_table_to_three_quarters_at_most() -> None:
    for count in (0, 1, 2, 3, 5, 6, 1_000, 12_288):
        lines = enter_lines("\n".join(f"line{i}" for i in range(count)).encode())
        used = int((lines.slots >= 0).sum())
        assert used == count
        assert used <= 0.75 * len(lines.slots)
    assert all(found_texts("\n".join(map(str, range(5_000))).encode(), ["0", "4999"]))


@given(lines=words, rows=texts)
def test_words_are_counted_once_each(lines: list[str], rows: list[str]) -> None:
    counts = np.full(len(rows), 99, dtype=np.int32)
    data, offsets = text_buffers(pa.array(rows, pa.large_string()))
    count_words(enter_lines("\n".join(lines).encode()), data, offsets, counts)
    expected = [len({*re.split("[^a-zA-Z0-9]+", row)} & {*lines}) for row in rows]
    assert counts.tolist() == expected


@given(subwords=words, rows=texts)
def test_subwords_are_found_across_what_separates_words(
    subwords: list[str], rows: list[str]
) -> None:
    found = np.ones(len(rows), dtype=np.bool_)
    data, offsets = text_buffers(pa.array(rows, pa.large_string()))
    contain_any(make_trie(subwords), data, offsets, found)
    squeezed = [re.sub("[^a-zA-Z0-9]+", "", row).lower() for row in rows]
    assert found.tolist() == [any(word in row for word in subwords) for row in squeezed]
