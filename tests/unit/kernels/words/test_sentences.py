"""Sentences are counted as datatrove counts them, whatever the text."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.utils.text import split_into_sentences, split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.words.sentences import count_sentences

MARKS = ".!?。…‽)(\"'”’[]{},;:-— \t\n\u00a0\u3000aBé1😀IS_ALPHA"

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(MARKS), max_size=60),
    st.lists(
        st.sampled_from(
            ["A.", "B!", "Mr.", "e.g.", "a.m.", "):", "...", "?!", '."', ".)", " ", "  ", "\n", "x"]
        ),
        max_size=20,
    ).map("".join),
)


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    """datatrove reads the first text with this word in it unlike all later ones."""
    split_into_words("IS_ALPHA")


def counted(rows: list[str]) -> list[int]:
    return count_sentences(pa.array(rows, pa.large_string())).tolist()


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, max_size=4))
def test_any_text_has_as_many_sentences_as_datatrove_finds(rows: list[str]) -> None:
    assert counted(rows) == [len(split_into_sentences(row)) for row in rows]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("  \n", 1),
        ("word", 1),
        ("One. Two! Three?", 3),
        ('He said "yes." Then he left.', 2),
        ("so.  . B", 3),  # two spaces are a token, which begins a sentence
        ("so. . B", 2),
        ("so. ", 1),
        ("so.  ", 2),
        ("A.  . B", 2),
        ("Wait... what", 1),  # three dots are one token, which ends nothing
        ("你好。再见。", 1),  # one token of spaCy's but for its end
        (". . .", 1),
        ("so.\n\n", 2),
    ],
)
def test_sentences_of_awkward_texts(text: str, count: int) -> None:
    assert len(split_into_sentences(text)) == count
    assert counted([text]) == [count]


def test_no_texts_have_no_counts() -> None:
    assert counted([]) == []


def test_real_texts_have_as_many_sentences_as_datatrove_finds(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:20_000] for _ in range(6)]
        assert counted(rows) == [len(split_into_sentences(row)) for row in rows]
