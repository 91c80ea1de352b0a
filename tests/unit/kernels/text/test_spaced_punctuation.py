"""Punctuation set apart as Arrow's own expressions would, which take longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernels.text.spaced_punctuation import space_punctuation

pieces = st.sampled_from(
    ["a", "é", "日", ".", "_", "~", "\n", "\r\n", "\0", " ", "“", "\u2028", "!?"]
)
texts = st.text() | st.lists(pieces, max_size=30).map("".join)


def large(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def by_expressions(text: pa.LargeStringArray) -> pa.LargeStringArray:
    words = pc.replace_substring_regex(text, "([[:punct:]])", r" \1 ")
    return pc.replace_substring(words, "\n", " ")


@given(st.lists(texts, max_size=5))
@example(["".join(map(chr, range(256)))])
def test_equals_regular_expressions(rows: list[str]) -> None:
    assert space_punctuation(large(rows)).to_pylist() == by_expressions(large(rows)).to_pylist()


@given(st.lists(texts, min_size=3, max_size=6), st.integers(0, 2), st.integers(0, 3))
def test_a_slice_of_rows_is_read_as_it_stands(rows: list[str], start: int, length: int) -> None:
    whole = space_punctuation(large(rows)).to_pylist()
    part = space_punctuation(large(rows).slice(start, length))
    part.validate(full=True)
    assert part.to_pylist() == whole[start : start + length]


def test_marks_become_words() -> None:
    assert space_punctuation(large(["don't\nstop_now.", ""])).to_pylist() == [
        "don ' t stop _ now . ",
        "",
    ]
    assert space_punctuation(large([])).to_pylist() == []


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        space_punctuation(pa.array(["a", None], pa.large_string()))


def test_equals_regular_expressions_on_real_text(shared_data: Path) -> None:
    read: Callable[..., bytes] = pa.CompressedInputStream(
        str(shared_data / "truth" / "languages.jsonl.zst"), "zstd"
    ).read
    text = large(read().decode().splitlines()[:500])
    assert space_punctuation(text).equals(by_expressions(text))
