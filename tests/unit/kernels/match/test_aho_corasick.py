"""Many strings are found in one pass, where and as often as looking for each would find them."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.match.aho_corasick import automaton, automaton_bytes, find_all

letters = st.sampled_from(["a", "b", "é", "中", "_", " ", "+", "1", "👩", "\u0301"])
strings = st.lists(
    st.lists(letters, min_size=1, max_size=4).map("".join), min_size=1, max_size=6, unique=True
)
texts = st.lists(letters, max_size=20).map("".join)


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def places(text: str, entry: str, whole_words: bool) -> list[int]:
    """Where an entry begins in a text, in code points."""
    before = r"(?<!\w)" if whole_words and re.match(r"\w", entry[0]) else ""
    after = r"(?!\w)" if whole_words and re.match(r"\w", entry[-1]) else ""
    pattern = re.compile(f"{before}(?={re.escape(entry)}{after})")
    return [match.start() for match in pattern.finditer(text)]


@settings(max_examples=200)
@given(st.lists(texts, max_size=4), strings, st.booleans())
def test_all_are_found_and_the_first_is_told(
    rows: list[str], entries: list[str], whole: bool
) -> None:
    hits = find_all(arrow(rows), automaton(entries), whole_words=whole)
    for row, text in enumerate(rows):
        found = [(at, -len(e.encode()), e) for e in entries for at in places(text, e, whole)]
        assert hits.counts[row] == len(found)
        first = min(found)[2] if found else None
        assert (entries[hits.first[row]] if hits.first[row] >= 0 else None) == first


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=3), min_size=1, unique=True))
def test_any_strings_are_found_as_in_plain_python(text: str, entries: list[str]) -> None:
    hits = find_all(arrow([text]), automaton(entries), whole_words=False)
    assert hits.counts.tolist() == [sum(len(places(text, e, False)) for e in entries)]


@pytest.mark.parametrize(
    ("text", "entry", "found"),
    [
        ("class", "ass", False),
        ("an ass.", "ass", True),
        ("c++11", "c++", True),
        ("objc++", "c++", False),
        ("œass", "ass", False),
        ("_ass", "ass", False),
        ("中ass", "ass", False),  # a letter, as for re
        ("ass", "ass", True),
        ("as s", "ass", False),
    ],
)
def test_no_word_is_cut(text: str, entry: str, found: bool) -> None:
    hits = find_all(arrow([text]), automaton([entry]), whole_words=True)
    assert (hits.counts[0] > 0) == found


def test_strings_inside_strings_are_all_counted() -> None:
    hits = find_all(arrow(["aaaa"]), automaton(["a", "aa", "aaa"]), whole_words=False)
    assert hits.counts.tolist() == [4 + 3 + 2]
    assert hits.first.tolist() == [2]


def test_a_slice_is_read_from_where_it_begins() -> None:
    hits = find_all(arrow(["x", "ab", "", "abab"]).slice(1), automaton(["ab"]), whole_words=False)
    assert hits.counts.tolist() == [1, 0, 2]


def test_the_automaton_takes_no_more_memory_than_foretold() -> None:
    entries = [f"word{i}" for i in range(500)]
    made = automaton(entries)
    assert made.moves.nbytes <= automaton_bytes(entries) + 4 * made.moves.shape[1]


def test_no_rows() -> None:
    assert find_all(arrow([]), automaton(["a"]), whole_words=True).counts.tolist() == []
