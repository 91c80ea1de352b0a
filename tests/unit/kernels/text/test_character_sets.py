"""Characters are counted by the sets that Python and RE2 put them in."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from kernels.text.character_classes import CLASSES, is_script
from kernels.text.character_sets import character_table, count_characters

rows_of_text = st.lists(st.text(max_size=30), max_size=4)


def counts(rows: list[str], counted: list[str], of: list[str] | None = None) -> list[list[int]]:
    part, whole = count_characters(pa.array(rows, pa.large_string()), counted, of or [])
    return [part.tolist(), whole.tolist()]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_are_those_of_str(name: str) -> None:
    @given(rows_of_text)
    def check(rows: list[str]) -> None:
        expected = [sum(map(CLASSES[name], row)) for row in rows]
        assert counts(rows, [name]) == [expected, list(map(len, rows))]

    check()


@pytest.mark.parametrize("script", ["Latin", "Cyrillic", "Greek", "Han", "Arabic", "Common"])
def test_scripts_are_those_of_unicode(script: str) -> None:
    # Scripts of characters that both libraries have known for long do not change.
    sample = "aZé ßжЯΩ中字א ع1,☃\u0301ﬁ"
    pattern = regex.compile(rf"\p{{Script={script}}}")
    assert counts([sample], [script])[0] == [len(pattern.findall(sample))]


@given(rows_of_text)
def test_a_share_is_taken_among_others(rows: list[str]) -> None:
    part, whole = counts(rows, ["Latin", "digits"], ["letters", "digits"])
    assert whole == [sum(c.isalpha() or c.isdecimal() for c in row) for row in rows]
    digits = counts(rows, ["digits"])[0]
    assert all(d <= p <= w for d, p, w in zip(digits, part, whole, strict=True))


@given(rows_of_text)
def test_categories_add_up(rows: list[str]) -> None:
    marks = counts(rows, ["marks", "punctuation", "symbols"])[0]
    assert marks == [sum(unicodedata.category(c)[0] in "MPS" for c in row) for row in rows]


def test_counted_characters_outside_the_whole_do_not_count() -> None:
    assert counts(["ab1 "], ["digits", "letters"], ["letters"]) == [[2], [2]]


def test_last_code_points_are_in_the_table() -> None:
    assert counts(["\U0010ffff\ud7ff\ue000"], ["ascii"]) == [[0], [3]]
    assert len(character_table(("ascii",), ())) == 0x110000


@pytest.mark.parametrize("name", ["Latin", "Han", "Old_Italic"])
def test_scripts_are_known(name: str) -> None:
    assert is_script(name)


@pytest.mark.parametrize("name", ["latin", "Klingon", "L", "Lu", "", "Latin}", "^Latin", "letters"])
def test_what_is_no_script(name: str) -> None:
    assert not is_script(name)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="Klingon"):
        character_table(("Klingon",), ())


def test_a_slice_is_read_from_where_it_begins() -> None:
    text = pa.array(["é1", "22é", "x"], pa.large_string()).slice(1)
    assert count_characters(text, ["digits"])[0].tolist() == [2, 0]
