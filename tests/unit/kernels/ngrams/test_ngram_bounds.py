"""No count is above its bound, and ordinary text has bounds that are of use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines.lines import text_lengths
from kernels.ngrams.ngram_bounds import NgramBounds, ngram_bounds
from kernels.ngrams.ngrams import Ngrams
from kernels.words.token_table import TokenTable
from kernels.words.words import Words, english_words

# Words that glue to the same bytes in several ways, shorter and longer than the key, and some over
# 16 bytes, which are copied in another way.
VOCABULARY = ["a", "b", "ab", "bc", "c", "abc", "é", "wonderful", "wonder", "ful", "😀", "x" * 40]
documents = st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=80), min_size=1, max_size=4)
ALL = range(1, 11)


def words_of(rows: list[list[str]]) -> Words:
    table = TokenTable()
    ids = [number for row in rows for number in table.add(row)]
    starts = np.cumsum([0, *map(len, rows)])
    return Words(np.array(ids, dtype=np.int32), starts.astype(np.int64), table)


def bound(words: Words, repeated: Iterable[int] = ALL, give_up: float = 1e9) -> NgramBounds:
    return ngram_bounds(words, repeated, np.arange(len(words)), give_up=give_up)


def assert_bounded(words: Words, repeated: Iterable[int]) -> None:
    rows = np.arange(len(words))
    found, exact = bound(words, repeated), Ngrams(words)
    for n in repeated:
        assert (found.repeated[n] >= exact.repeated_characters(n, rows)).all(), n
    for n in range(2, 8):
        most = found.top(n)
        assert most is not None
        assert (most >= exact.top_characters(n, rows)).all(), n


@settings(deadline=None, max_examples=300)
@given(documents, st.sets(st.integers(1, 12), min_size=1, max_size=6))
def test_no_count_is_above_its_bound(rows: list[list[str]], repeated: set[int]) -> None:
    assert_bounded(words_of(rows), sorted(repeated))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from("ab"), min_size=20, max_size=200), st.lists(st.integers(1, 4)))
def test_no_count_is_above_its_bound_where_the_same_bytes_are_cut_anew(
    letters: list[str], cuts: list[int]
) -> None:
    text, row, at = "".join(letters), list("".join(letters)), 0
    for cut in [*cuts, *[2, 3] * len(text)]:
        if at < len(text):
            row.append(text[at : at + cut])
            at += cut
    assert_bounded(words_of([row]), ALL)


def test_glued_ngrams_that_are_cut_anew_are_bounded_by_all_their_bytes() -> None:
    distinct = [f"{i:04d}" for i in range(100)]
    row = [*distinct, "ab", "cd", "efg", "hijk", "lmno", *distinct[::-1]]
    row += ["abc", "de", "fghi", "jkl", "mno"]
    found = bound(words_of([row]), [5])
    assert Ngrams(words_of([row])).repeated_characters(5, np.array([0])).tolist() == [15]
    assert found.repeated[5].tolist() == [15]


def test_without_repeats_the_bound_is_zero() -> None:
    words = words_of([[f"word{i}" for i in range(500)], ["a"], []])
    assert all(
        values.tolist() == [0, 0, 0] for values in bound(words, range(5, 11)).repeated.values()
    )


def test_a_single_word_has_no_bound_by_pairs() -> None:
    assert bound(words_of([["a", "a", "a"]])).top(1) is None


def test_a_repeat_counts_once_however_many_ngrams_cover_it() -> None:
    phrase = [f"phrase{i}" for i in range(12)]
    row = [*phrase, *(f"other{i}" for i in range(60)), *phrase]
    found = bound(words_of([row]), [5, 10, 12])
    size = len("".join(phrase))
    assert [found.repeated[n].tolist() for n in (5, 10, 12)] == [[size], [size], [size]]


def test_only_what_is_as_long_as_the_ngram_counts() -> None:
    phrase = [f"phrase{i}" for i in range(6)]
    row = [*phrase, *(f"other{i}" for i in range(60)), *phrase]
    found = bound(words_of([row]), [6, 7])
    assert found.repeated[6].tolist() == [len("".join(phrase))]
    assert found.repeated[7].tolist() == [0]


def test_a_repeat_far_back_among_many_that_begin_alike_is_not_missed() -> None:
    # What begins with the same bytes is compared with few places; the rest is taken for granted.
    row = [word for i in range(40) for word in ("beginning", "alike", f"{i:04d}", "a", "b")]
    row += row[:5]
    words = words_of([row])
    assert Ngrams(words).repeated_characters(5, np.array([0])).tolist() == [20]
    assert bound(words, [5]).repeated[5][0] >= 20


def test_the_most_frequent_pair_is_bounded_closely() -> None:
    row = [word for i in range(100) for word in ("of", "the", f"word{i}")]
    found = bound(words_of([row]), [])
    assert 100 * len("of the") <= found.top(2)[0] <= 100 * len("of the  ") + 300


def test_only_the_documents_asked_for_are_bounded() -> None:
    words = words_of([["a"] * 50, ["b", "c"], ["d"] * 30])
    found = ngram_bounds(words, [5], np.array([2, 1]))
    assert found.pairs.tolist()[1] < 30 * 4
    assert found.repeated[5].tolist() == [30, 0]
    assert ngram_bounds(words, [5], np.array([], dtype=np.int64)).pairs.size == 0


def test_a_document_full_of_repeats_is_bounded_by_its_length() -> None:
    words = words_of([["ab", "c", "de"] * 30, [f"w{i}" for i in range(10, 60)]])
    found = bound(words, [5, 10], give_up=1 / 3)
    assert [found.repeated[n].tolist() for n in (5, 10)] == [[150, 0], [150, 0]]


def test_bounds_do_not_depend_on_the_documents_before() -> None:
    rows = [["x" * 40] * 300, ["ab", "c", "a", "bc", "d"] * 3, [f"w{i}" for i in range(30)]]
    together = bound(words_of(rows))
    for i, row in enumerate(rows):
        alone = bound(words_of([row]))
        assert {n: v[0] for n, v in alone.repeated.items()} == {
            n: v[i] for n, v in together.repeated.items()
        }


@pytest.mark.parametrize("name", ["books", "wiki", "code_c"])
def test_bounds_hold_for_real_text_and_settle_most_prose(shared_data: Any, name: str) -> None:
    path = shared_data / "domains" / f"{name}.jsonl.zst"
    lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
    texts = pa.array([orjson.loads(line)["text"] for line in lines[::20]], pa.large_string())
    words = english_words(texts)
    assert_bounded(words, range(5, 11))
    if name != "code_c":
        found, lengths = bound(words, [5, 10], give_up=1 / 3), text_lengths(texts)
        assert (found.repeated[5] / lengths <= 0.15).mean() > 0.9
        assert (found.repeated[10] / lengths <= 0.10).mean() > 0.9
        assert (found.pairs * 2 / lengths <= 0.16).mean() > 0.8
