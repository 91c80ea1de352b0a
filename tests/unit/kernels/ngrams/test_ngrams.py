"""n-grams are counted as plain Python counts them over the same words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from datatrove.utils.text import PUNCTUATION_SET
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ngrams.ngrams import Ngrams, count_words
from kernels.text.punctuation import PUNCTUATION
from kernels.words.token_table import TokenTable
from kernels.words.words import Words, english_words

vocabulary = ["a", "b", "ab", "bc", "c", "abc", "é", "éa", "wonderful", "😀"]
documents = st.lists(st.lists(st.sampled_from(vocabulary), max_size=60), min_size=1, max_size=4)


def words_of(rows: list[list[str]]) -> Words:
    table = TokenTable()
    ids = [number for row in rows for number in table.add(row)]
    starts = np.cumsum([0, *map(len, rows)])
    return Words(np.array(ids, dtype=np.int32), starts.astype(np.int64), table)


def top(row: list[str], n: int) -> int:
    grams = Counter(" ".join(row[i : i + n]) for i in range(len(row) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return len(gram) * count


def repeated(row: list[str], n: int) -> int:
    seen: set[str] = set()
    characters = at = 0
    while at <= len(row) - n:
        gram = "".join(row[at : at + n])
        if gram in seen:
            characters += len(gram)
            at += n
        else:
            seen.add(gram)
            at += 1
    return characters


def all_rows(words: Words) -> np.ndarray:
    return np.arange(len(words))


@settings(deadline=None)
@given(documents, st.integers(1, 6))
def test_the_most_frequent_ngram_is_that_of_a_counter(rows: list[list[str]], n: int) -> None:
    words = words_of(rows)
    found = Ngrams(words).top_characters(n, all_rows(words))
    assert found.tolist() == [top(row, n) for row in rows]


@settings(deadline=None)
@given(documents, st.integers(1, 10))
def test_repeated_ngrams_are_those_of_a_set_of_glued_words(rows: list[list[str]], n: int) -> None:
    words = words_of(rows)
    found = Ngrams(words).repeated_characters(n, all_rows(words))
    assert found.tolist() == [repeated(row, n) for row in rows]


def test_the_first_of_equally_frequent_ngrams_wins() -> None:
    words = words_of([["a", "wonderful", "a", "b"], ["wonderful", "a", "b", "a"]])
    found = Ngrams(words).top_characters(2, all_rows(words))
    assert found.tolist() == [len("a wonderful"), len("wonderful a")]


def test_glued_ngrams_repeat_across_word_borders() -> None:
    words = words_of([["ab", "c", "a", "bc"], ["ab", "c", "a", "b"]])
    found = Ngrams(words).repeated_characters(2, all_rows(words))
    assert found.tolist() == [3, 0]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(1, 12))
def test_counts_of_longer_documents(seed: int, words: int, n: int) -> None:
    # From few words, all n-grams repeat; from many, almost none do, and slots are shared by chance.
    numbers = np.random.default_rng(seed).integers(0, words, 3_000)
    row = [f"w{number}" if number % 3 else "w" for number in numbers]
    found = Ngrams(words_of([row, row[:50]]))
    rows = np.arange(2)
    assert found.top_characters(n, rows).tolist() == [top(row, n), top(row[:50], n)]
    assert found.repeated_characters(n, rows).tolist() == [repeated(row, n), repeated(row[:50], n)]


def test_documents_may_be_asked_for_in_any_order_and_again() -> None:
    documents = [["a", "b"] * 20, ["c"] * 9, ["ab", "c", "a", "bc"]]
    found = Ngrams(words_of(documents))
    for rows in ([2], [1, 2], [2, 0, 1], [0, 1, 2]):
        expected = [repeated(documents[row], 2) for row in rows]
        assert found.repeated_characters(2, np.array(rows)).tolist() == expected


def test_only_the_documents_asked_for_are_looked_at() -> None:
    rows = [["a"] * 12, ["b"] * 4, ["c", "ab"]]
    found = Ngrams(words_of(rows)).top_characters(2, np.array([2, 0]))
    assert found.tolist() == [4, 33]
    assert Ngrams(words_of(rows)).repeated_characters(2, np.array([], dtype=np.int64)).size == 0


def test_a_document_shorter_than_the_ngram_has_none() -> None:
    words = words_of([[], ["a"]])
    assert Ngrams(words).top_characters(2, all_rows(words)).tolist() == [0, 0]
    assert Ngrams(words).repeated_characters(2, all_rows(words)).tolist() == [0, 0]


def test_the_punctuation_is_that_of_datatrove() -> None:
    assert PUNCTUATION == PUNCTUATION_SET


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=20))
def test_tokens_are_measured_as_python_measures_them(tokens: list[str]) -> None:
    words = words_of([tokens])
    found = count_words(words, ["the"])
    plain = [token for token in tokens if any(char not in PUNCTUATION_SET for char in token)]
    assert found.words.tolist() == [len(tokens)]
    assert found.plain.tolist() == [len(plain)]
    assert found.plain_characters.tolist() == [sum(map(len, plain))]
    assert found.alphabetic.tolist() == [
        sum(any(char.isalpha() for char in token) for token in tokens)
    ]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [(["the", "of"], [2, 1, 0]), (["The"], [0, 1, 0]), (["never met"], [0, 0, 0]), ([], [0, 0, 0])],
)
def test_listed_words_are_counted_once_per_document(listed: list[str], expected: list[int]) -> None:
    rows = ["the end of the road of all", "The the", ""]
    words = english_words(pa.array(rows, pa.large_string()))
    assert count_words(words, listed).listed.tolist() == expected


def test_tokens_keep_their_numbers_and_bytes() -> None:
    table = TokenTable()
    numbers = table.add(["é", "b", "é"])
    assert numbers == [0, 1, 0]
    assert table.add(["b"]) == [1]
    assert (table.find("b"), table.find("none")) == (1, -1)
    many = table.add([f"token{i}" for i in range(20_000)])
    assert many == list(range(2, 20_002))
    assert table.data[table.offsets[0] : table.offsets[1]].tobytes() == "é".encode()
    last = table.data[table.offsets[20_001] : table.offsets[20_002]]
    assert last.tobytes() == b"token19999"
    assert table.lengths[:2].tolist() == [1, 1]
