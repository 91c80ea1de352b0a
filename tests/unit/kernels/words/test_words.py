"""Words are datatrove's, whatever the text, and follow their documents through filters."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.utils.text import split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.words import lexicon
from kernels.words.span_tokenizer import span_tokenizer
from kernels.words.words import Words, english_words, least_words, split_words

WEIRD = "\t\n\r\v\f\x00\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b"
MARKS = "()[]{}:;-_.,'\"‘’*^/\\<>=|83oODPpXx0 a#…—!?$%&@~°\u0301\u200f\u05d0é😀ಠ"


def arrow(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def strings(words: Words) -> list[list[str]]:
    data, offsets = words.table.data.tobytes(), words.table.offsets.tolist()
    spelled = [data[offsets[i] : offsets[i + 1]].decode() for i in words.ids]
    return [spelled[a:b] for a, b in zip(words.starts[:-1], words.starts[1:], strict=True)]


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    """datatrove reads the first text with this word in it unlike all later ones."""
    split_into_words("IS_ALPHA")


def exceptions() -> list[str]:
    import spacy

    return sorted(spacy.blank("en").tokenizer.rules)


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(WEIRD + MARKS), max_size=40),
    st.lists(
        st.one_of(
            st.sampled_from(exceptions()),
            st.sampled_from(
                ["", " ", "  ", "\n", "f(", "(", " (", "): ", " - (", "https://a.b/c "]
            ),
        ),
        max_size=16,
    ).map("".join),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=4))
def test_words_of_any_text_are_those_of_datatrove(rows: list[str]) -> None:
    assert strings(english_words(arrow(rows))) == [split_into_words(row) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "Hello wonderful world",
        "a  b\u2028c\x1cd\u3000e\x00f",
        "don't (it's) 8a.m. foo--a.m. U.S.A. e.g.",
        "\u05e9\u05dc\u05d5\u05dd, \u202b\u05e2\u05d5\u05dc\u05dd\u202c!",
        "e\u0301te\u0301 a\u0300\u0301",
        "x" * 5_000,
        "def f(x):\r\n\treturn x\r\n",
        "f(x): (a) f( 8 ): b",
        "f(x): - ( f(x): -",  # a match across spaces wins against one within
        "( f(x): - ) (",
        "xIS_ALPHA is a word, IS_ALPHAS too",
        "xIS_ALPHA loses its end when there is IS_ALPHA by itself",
    ],
)
def test_words_of_awkward_texts(text: str) -> None:
    assert strings(english_words(arrow([text]))) == [split_into_words(text)]


def test_spans_that_depend_on_each_other_are_cut_together() -> None:
    assert strings(english_words(arrow(["f(x): b", "f(x): - ("]))) == [
        ["f(x", "):", "b"],
        ["f(x", ")", ":", "-", "("],
    ]


def test_a_text_that_stays_refused_is_cleaned_until_it_is_not() -> None:
    assert strings(english_words(arrow(["a IS_IS_ALPHAALPHA IS_ALPHA b", "c"]))) == [
        ["a", "b"],
        ["c"],
    ]


def test_words_of_real_texts_are_those_of_datatrove(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:20_000] for _ in range(6)]
        assert strings(english_words(arrow(rows))) == [split_into_words(row) for row in rows]


def test_selected_documents_keep_their_words() -> None:
    words = english_words(arrow(["one two", "", "three", "four five six"]))
    rows = np.array([3, 1, 0, 0])
    assert strings(words.select(rows)) == [
        ["four", "five", "six"],
        [],
        ["one", "two"],
        ["one", "two"],
    ]
    assert len(words.select(np.array([], dtype=np.int64))) == 0


def test_the_same_words_have_the_same_numbers_in_every_batch() -> None:
    first = english_words(arrow(["red green"]))
    second = english_words(arrow(["green", "red"]))
    assert second.table is first.table
    assert second.ids.tolist() == first.ids.tolist()[::-1]


def test_a_full_table_is_replaced_and_words_at_hand_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = english_words(arrow(["some words that are there"]))
    monkeypatch.setattr(lexicon, "MAX_SPANS", 1)
    after = english_words(arrow(["some new ones"]))
    assert after.table is not before.table
    assert strings(before) == [["some", "words", "that", "are", "there"]]
    assert strings(after) == [["some", "new", "ones"]]


def test_the_table_grows_within_one_document() -> None:
    distinct = [f"w{i}" for i in range(40_000)]
    assert strings(english_words(arrow([" ".join(distinct)]))) == [distinct]


def test_clashes_are_found_between_the_halves_of_exceptions() -> None:
    tokenizer = span_tokenizer("en")
    (left,) = tokenizer.pieces(["f(x):"])
    (minus,) = tokenizer.pieces(["-"])
    (plain,) = tokenizer.pieces(["plain"])
    assert left.changed
    assert tokenizer.clashes[left.last, minus.first]
    assert not tokenizer.clashes[left.last, plain.first]


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=4), st.sampled_from(["en", "es", "deu"]))
def test_no_text_has_fewer_words_than_the_least(rows: list[str], language: str) -> None:
    least = least_words(arrow(rows), language)
    assert (least <= np.diff(split_words(arrow(rows), language).starts)).all()


def test_the_least_words_of_plain_text_are_all_of_them() -> None:
    assert least_words(arrow(["one two  three\n", "", " "]), "en").tolist() == [3, 0, 0]
    assert least_words(arrow(["uno dos"]), "es").tolist() == [0], "special cases span spaces there"
