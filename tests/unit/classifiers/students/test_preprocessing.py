"""What students see: one line of lower-case words, without marks that fastText obeys."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.students.preprocessing import (
    MAX_CHARACTERS,
    SEPARATORS,
    TextBatch,
    is_blank,
    preprocess,
)

injections = st.sampled_from(["__label__positive", "__label__", "</s>", "\n", "\0", "\u2028", " "])
texts = st.lists(injections | st.text(), max_size=8).map("".join)


def large(*documents: str) -> pa.LargeStringArray:
    return pa.array(documents, type=pa.large_string())


def seen(*documents: str) -> list[str]:
    found: list[str] = preprocess(large(*documents)).to_pylist()
    return found


@given(texts)
def test_view_holds_one_line_without_marks_that_fasttext_obeys(text: str) -> None:
    (found,) = seen(text)
    assert "\n" not in found
    assert "__label__" not in found
    assert "</s>" not in found


@given(texts)
def test_view_loses_nothing_but_case_and_spacing(text: str) -> None:
    (found,) = seen(text)
    lowered = pc.utf8_lower(pa.scalar(text)).as_py()
    assert found.replace(" ", "") == lowered.replace(" ", "").replace("\n", "")


def test_view_sets_punctuation_apart_and_stops_early() -> None:
    assert seen("Don't\nSTOP.")[0].split() == ["don", "'", "t", "stop", "."]
    assert seen("a" * 30_000) == ["a" * MAX_CHARACTERS]
    assert seen("é" * 30_000) == ["é" * MAX_CHARACTERS]


@given(texts | st.text(st.sampled_from(SEPARATORS)))
def test_a_view_is_blank_when_fasttext_finds_no_word(text: str) -> None:
    (found,) = seen(text)
    words = "".join(" " if character in SEPARATORS else character for character in found).split(" ")
    assert is_blank(large(found)).tolist() == [not any(words)]


@given(st.lists(texts, min_size=1, max_size=5), st.data())
def test_a_batch_is_seen_row_by_row(rows: list[str], data: st.DataObject) -> None:
    batch = TextBatch(large(*rows))
    assert len(batch) == len(rows)
    assert batch.preprocessed.to_pylist() == seen(*rows)
    assert batch.truncated.to_pylist() == [row[:MAX_CHARACTERS] for row in rows]
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=4))
    part = batch.take(np.array(chosen, dtype=np.int64))
    assert part.preprocessed.to_pylist() == [batch.preprocessed[row].as_py() for row in chosen]
    assert part.blank.tolist() == [bool(batch.blank[row]) for row in chosen]


@pytest.mark.parametrize("rows", [[], ["", "a"]])
def test_a_batch_may_be_empty_or_a_slice(rows: list[str]) -> None:
    assert TextBatch(large("x", *rows).slice(1)).preprocessed.to_pylist() == rows
