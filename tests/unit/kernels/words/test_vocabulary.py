"""Words are what plain Python finds between spaces, and equal numbers mean equal words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unspaced_scripts import is_unspaced

from kernels.text.normalisation import normalise
from kernels.words import vocabulary as module
from kernels.words.vocabulary import UNKNOWN, Vocabulary, slots_for

SUFFIXES = {"s", "t", "d", "m", "ll", "re", "ve"}

# Words of 7, 8 and 9 bytes, long ones that differ at the end, suffixes, numbers, other scripts.
PIECES = ["a", "cat", "letters", "alphabet", "alphabets", "characteristics", "characteristica"]
PIECES += ["s", "t", "d", "m", "ll", "re", "ve", "l", "v", "0", "12", "0s", "3.5", "don't", "it’s"]
PIECES += ["naïve", "łódź", "мы", "людей", "水", "山川", "ก", "ab水", "한국", "ß", "𝟘", "e\u0301"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
)


def rows_of(*rows: str) -> pa.LargeStringArray:
    return normalise(pa.array(rows, pa.large_string()))


def words_of(normalised: str) -> list[str]:
    """The definition."""
    words: list[str] = []
    chunks = normalised.split()
    at = 0
    while at < len(chunks):
        pieces = [""]
        for char in chunks[at]:
            if is_unspaced(char):
                pieces += [char, ""]
            else:
                pieces[-1] += char
        pieces = [piece for piece in pieces if piece]
        at += 1
        if at < len(chunks) and chunks[at] in SUFFIXES:
            pieces[-1] += chunks[at]
            at += 1
        words += pieces
    return [word for word in words if word != "0"]


def spelled(vocabulary: Vocabulary, ids: np.ndarray) -> list[str]:
    data, offsets = vocabulary.data.tobytes(), vocabulary.offsets.tolist()
    return [data[offsets[i] : offsets[i + 1]].decode() for i in ids.tolist()]


@given(st.lists(texts, max_size=5))
@example(["don't", "dont", "don t", "t", "s s s", "1990's", "x", ""])
@example(["alphabet s alphabets", "alphabet", "letters", "letters re", "a s"])
@example(["abcdefg 水x", "abcdefgh", "abcdefghi j"])
def test_words_are_those_of_the_definition(rows: list[str]) -> None:
    normalised = rows_of(*rows)
    vocabulary = Vocabulary.of(normalised)
    words = vocabulary.read(normalised)
    assert len(words) == len(rows)
    wanted = [words_of(row) for row in normalised.to_pylist()]
    for i, row in enumerate(wanted):
        assert spelled(vocabulary, words.ids[words.starts[i] : words.starts[i + 1]]) == row
    assert sorted(spelled(vocabulary, np.arange(len(vocabulary.keys)))) == sorted(
        {word for row in wanted for word in row}
    )


@given(st.lists(texts, max_size=3), st.lists(texts, max_size=3))
def test_other_words_are_unknown(known: list[str], others: list[str]) -> None:
    vocabulary = Vocabulary.of(rows_of(*known))
    have = {word for row in rows_of(*known).to_pylist() for word in words_of(row)}
    normalised = rows_of(*others)
    read = vocabulary.read(normalised)
    wanted = [word for row in normalised.to_pylist() for word in words_of(row)]
    assert [i == UNKNOWN for i in read.ids.tolist()] == [word not in have for word in wanted]
    found = [i for i in read.ids.tolist() if i != UNKNOWN]
    assert spelled(vocabulary, np.array(found, np.int64)) == [w for w in wanted if w in have]


def test_an_apostrophe_may_be_anything_or_nothing() -> None:
    rows = rows_of("They don't know it's there", "they dont know its there", "They don’t know it s")
    vocabulary = Vocabulary.of(rows[:1])
    words = vocabulary.read(rows)
    first, second, third = (words.ids[words.starts[i] : words.starts[i + 1]] for i in range(3))
    assert first.tolist() == second.tolist() == [*third.tolist(), first[-1]]


def test_numbers_are_no_words() -> None:
    assert words_of("0 cats and 0 dogs") == ["cats", "and", "dogs"]
    rows = rows_of("3 cats and 4,000 dogs", "cats and dogs", "99.5")
    words = Vocabulary.of(rows).read(rows)
    assert words.ids.tolist() == [0, 1, 2, 0, 1, 2]
    assert words.starts.tolist() == [0, 3, 6, 6]


def test_long_words_are_compared_to_their_last_byte() -> None:
    stem = "abcdefgh" * 50
    rows = rows_of(stem, stem + "a", stem + "b", stem[:-1], stem)
    words = Vocabulary.of(rows).read(rows)
    assert words.ids.tolist() == [0, 1, 2, 3, 0]


def test_hashes_that_collide_do_not_make_words_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of("characteristics", "characterisation", "characters")
    found = Vocabulary.of(rows[:2])
    # As if the first two long words and the third had one key: bytes decide.
    keys = found.keys.copy()
    keys[0] = keys[1]
    table = np.full_like(found.slots, -1)
    module.fill_slots(keys, table)
    collided = Vocabulary(keys, found.data, found.offsets, table)
    assert collided.read(rows).ids.tolist() == [UNKNOWN, 1, UNKNOWN]


def test_a_slice_gives_its_own_rows_and_no_rows_give_none() -> None:
    rows = pa.concat_arrays([rows_of("zero words", "one two", "three two", "four")])
    vocabulary = Vocabulary.of(rows[1:3])
    assert spelled(vocabulary, np.arange(3)) == ["one", "two", "three"]
    assert vocabulary.read(rows[1:3]).ids.tolist() == [0, 1, 2, 1]
    assert vocabulary.read(rows[:0]).ids.tolist() == []
    assert Vocabulary.of(rows[:0]).read(rows).ids.tolist() == [UNKNOWN] * 7


def test_more_words_than_three_of_which_make_a_key_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 3)
    assert len(Vocabulary.of(rows_of("a b c a b c")).keys) == 3
    with pytest.raises(ValueError, match="4 distinct words"):
        Vocabulary.of(rows_of("a b c e"))


@pytest.mark.parametrize(
    ("items", "slots"), [(0, 4), (1, 4), (2, 4), (3, 8), (4, 8), (1_000, 2_048)]
)
def test_tables_are_at_most_half_full(items: int, slots: int) -> None:
    assert slots_for(items) == slots
