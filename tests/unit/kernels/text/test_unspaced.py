from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unspaced_scripts import is_unspaced

from kernels.text.unspaced import separate_unspaced, unspaced_width

TEXTS = st.text(st.sampled_from("a é水山กษ་ကកカ한𠀀 \n.")) | st.text(max_size=20)


def separated(*texts: str) -> list[str]:
    found: list[str] = separate_unspaced(pa.array(texts, pa.large_string())).to_pylist()
    return found


def reference(text: str) -> str:
    """A space between neighbours if either is such a character and neither is a space."""
    out = ""
    for char in text:
        if out and (is_unspaced(char) or is_unspaced(out[-1])) and " " not in (char, out[-1]):
            out += " "
        out += char
    return out


@given(st.lists(TEXTS, max_size=6))
def test_each_such_character_stands_between_spaces(texts: list[str]) -> None:
    assert separated(*texts) == [reference(text) for text in texts]


@pytest.mark.parametrize("text", ["", "plain words 12.", "naïve 한국 мир", "水", "a水b ก"])
def test_text_without_such_characters_is_as_it_was(text: str) -> None:
    assert separated(text) == [reference(text)]


def test_slices_are_read_from_where_they_begin() -> None:
    rows = pa.array(["水水", "ab", "x水"], pa.large_string()).slice(1)
    assert separate_unspaced(rows).to_pylist() == ["ab", "x 水"]


def test_every_character_has_the_width_of_its_definition() -> None:
    for code_point in range(0x80, sys.maxunicode + 1, 7):
        char = chr(code_point)
        if not 0xD800 <= code_point <= 0xDFFF:
            data = np.frombuffer(char.encode(), np.uint8)
            expected = len(data) if is_unspaced(char) else 0
            assert unspaced_width(data, 0) == expected, hex(code_point)
