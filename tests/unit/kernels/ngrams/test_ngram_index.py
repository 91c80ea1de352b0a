"""Passages are found where they are, with the score of plain alignment, and nowhere else."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ngrams.ngram_index import NgramIndex
from kernels.text.normalisation import normalise
from kernels.words.vocabulary import Vocabulary

Hit = tuple[int, int, int, str]


def array(rows: Sequence[str]) -> pa.LargeStringArray:
    return pa.array(list(rows), pa.large_string())


def build(
    passages: Sequence[str],
    whole: bool | Sequence[bool] = True,
    least: int = 3,
    owners: Sequence[int] | None = None,
    max_owners: int = 10,
) -> NgramIndex:
    normalised = normalise(array(passages))
    vocabulary = Vocabulary.of(normalised)
    flags = np.broadcast_to(np.asarray(whole, dtype=np.bool_), len(passages)).copy()
    numbers = np.arange(len(passages)) if owners is None else np.array(owners)
    limits = np.full(len(passages), least, np.int64)
    words = vocabulary.read(normalised)
    return NgramIndex.build(vocabulary, words, flags, limits, numbers, max_owners)


def search(index: NgramIndex, rows: Sequence[str]) -> list[Hit]:
    """(row, passage, score, stretch) of every hit."""
    found, normalised = index.search(array(rows))
    texts = [text.encode() for text in normalised.to_pylist()]
    numbers = zip(found.row, found.passage, found.score, found.begin, found.end, strict=True)
    return [
        (int(row), int(passage), int(score), texts[row][begin:end].decode())
        for row, passage, score, begin, end in numbers
    ]


def alignment(passage: list[str], document: list[str], whole: bool) -> int:
    """The best score, without a band and without looking for trigrams first."""
    size = len(passage)
    before = [0] * (len(document) + 1)
    best = 0
    for i, word in enumerate(passage):
        floor = -i if whole else 0
        now = [-(i + 1) if whole else 0]
        for j, other in enumerate(document):
            score = max(before[j], floor) + (1 if word == other else -1)
            now.append(max(score, before[j + 1] - 1, now[j] - 1))
        before = now
        best = max(best, max(now) - (size - 1 - i if whole else 0))
    return best


def distinct(count: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(count)]


FEW = st.lists(st.sampled_from(["a", "b", "c", "e", "f", "gg"]), max_size=30)


@given(
    st.lists(FEW.filter(lambda words: len(words) > 2), min_size=1, max_size=4),
    st.lists(FEW, max_size=3),
    st.booleans(),
    st.integers(1, 8),
)
@settings(max_examples=150)
def test_scores_are_never_more_than_the_best_alignment(
    passages: list[list[str]], rows: list[list[str]], whole: bool, least: int
) -> None:
    index = build([" ".join(words) for words in passages], whole, least)
    for row, passage, score, _ in search(index, [" ".join(words) for words in rows]):
        assert least <= score <= alignment(passages[passage], rows[row], whole)


@given(
    size=st.integers(8, 60),
    around=st.lists(st.sampled_from(["x", "y", "wab", "wac", "waf"]), max_size=12),
    cut=st.integers(0, 12),
    whole=st.booleans(),
)
@settings(max_examples=100)
def test_a_planted_passage_is_always_found(
    size: int, around: list[str], cut: int, whole: bool
) -> None:
    passage = distinct(size)
    row = " ".join([*around[:cut], *passage, *around[cut:]])
    ((_, _, score, stretch),) = search(build([" ".join(passage)], whole), [row])
    assert (score, stretch) == (size, " ".join(passage))


@given(
    size=st.integers(10, 60),
    replaced=st.lists(st.integers(0, 59), max_size=2, unique=True),
    around=st.integers(0, 30),
    whole=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=150)
def test_two_replaced_words_do_not_hide_a_passage(
    size: int, replaced: list[int], around: int, whole: bool, seed: int
) -> None:
    rng = random.Random(seed)
    passage = distinct(size)
    edited = passage.copy()
    for place in replaced:
        edited[place % size] = rng.choice(["new", "other", passage[0]])
    padding = [rng.choice(["x", "y", passage[1]]) for _ in range(around)]
    row = padding + edited + padding
    found = search(build([" ".join(passage)], whole, 1), [" ".join(row)])
    assert [hit[:2] for hit in found] == [(0, 0)]
    assert size - 4 <= found[0][2] == alignment(passage, row, whole)


@given(size=st.integers(12, 50), place=st.integers(0, 50), count=st.integers(1, 3))
@settings(max_examples=100)
def test_words_put_in_or_left_out_cost_one_each(size: int, place: int, count: int) -> None:
    passage = distinct(size)
    at = 4 + place % (size - 8)
    more = passage[:at] + ["new"] * count + passage[at:]
    less = passage[:at] + passage[at + 1 :]
    rows = [" ".join(["x", *words, "y"]) for words in (more, less)]
    found = search(build([" ".join(passage)], True, 1), rows)
    assert [hit[2] for hit in found] == [size - count, size - 2]


@given(FEW, st.integers(0, 5))
@settings(max_examples=50)
def test_a_row_without_a_trigram_of_the_passage_holds_nothing(words: list[str], seed: int) -> None:
    passage = distinct(40)
    rng = random.Random(seed)
    row = [*words]
    for _ in range(30):
        at = rng.randrange(39)
        row += [*passage[at : at + 2], "x"]
    assert search(build([" ".join(passage)], False, 1), [" ".join(row)]) == []


@given(st.lists(FEW.map(" ".join), max_size=6), st.integers(1, 5))
@settings(max_examples=60)
def test_rows_are_searched_independently_of_their_neighbours(rows: list[str], step: int) -> None:
    index = build(["a b c e f gg a b c", "gg f e c b a", "a a b b c c e e f f gg gg a"], False, 3)
    together = search(index, rows)
    apart = []
    for first in range(0, len(rows), step):
        hits = search(index, rows[first : first + step])
        apart += [(first + row, *rest) for row, *rest in hits]
    assert sorted(together) == sorted(apart)
    assert search(index, rows) == together


def test_of_a_long_passage_the_best_part_counts() -> None:
    passage = distinct(60)
    half = " ".join(["x", *passage[10:40], "y"])
    assert search(build([" ".join(passage)], False), [half]) == [(0, 0, 30, half[2:-2])]
    assert search(build([" ".join(passage)], True, 1), [half]) == []


def test_an_edit_within_a_part_costs_what_it_loses() -> None:
    passage = distinct(30)
    row = [*passage[:10], "new", *passage[11:20], "x", "x", "x", *passage[20:]]
    assert search(build([" ".join(passage)], False), [" ".join(row)])[0][2] == 29 - 1 - 3


def test_common_trigrams_are_not_looked_for() -> None:
    passages = [f"which of the following is not a {word}" for word in distinct(6)]
    question = "which of the following is not a problem"
    assert len(search(build(passages, True, 1), [question])) == 6
    index = build(passages, True, 1, max_owners=5)
    assert index.indexed.all()
    assert search(index, [question]) == []
    assert [hit[1] for hit in search(index, [passages[3]])] == [3]


def test_passages_of_one_owner_are_not_common() -> None:
    passages = ["one two three four", "one two three four five"]
    rows = ["one two three four five six"]
    assert build(passages, max_owners=1, owners=[0, 1]).indexed.tolist() == [False, True]
    index = build(passages, max_owners=1, owners=[7, 7])
    assert index.indexed.all()
    assert [hit[1] for hit in search(index, rows)] == [0, 1]


def test_a_passage_is_at_its_best_place() -> None:
    passage = distinct(12)
    edited = [*passage[:6], "new", *passage[7:]]
    row = [*edited, "x", *passage, "x", *edited]
    ((_, _, score, stretch),) = search(build([" ".join(passage)]), [" ".join(row)])
    assert (score, stretch) == (12, " ".join(passage))


def test_words_missing_at_the_ends_of_a_document_are_left_out() -> None:
    passage = distinct(12)
    index = build([" ".join(passage)])
    rows = [" ".join(passage[1:]), " ".join(passage[:-1]), " ".join(passage[1:-1])]
    assert [hit[2] for hit in search(index, rows)] == [10, 10, 8]


def test_case_punctuation_accents_and_numbers_make_no_difference() -> None:
    index = build(["The Café sold 1,250 cups of coffee on Monday, before noon; it wasn't open."])
    rows = ["THE CAFE -- sold 7 cups\nof *coffee* on monday before noon, it wasn’t open",
            "the café sold cups of coffee on monday (before noon) it wasnt open"]  # fmt: skip
    assert [hit[2] for hit in search(index, rows)] == [13, 13]


@pytest.mark.parametrize(
    "row",
    ["", " ", "\x00", "0 0 0 0", "!!!", "a", "a b", "水" * 50, "ש" * 50, "e\u0301 " * 9, "0" * 99],
)
def test_odd_rows_hold_nothing(row: str) -> None:
    assert search(build(["one two three four five six seven eight"], True, 1), [row]) == []


def test_scripts_without_spaces_are_searched_by_character() -> None:
    text = "人类对自然的认识是一个漫长的过程需要许多代人的努力"
    index = build([text], False)
    assert search(index, ["今天" + text + "完"])[0][2:] == (len(text), text)


def test_no_passages_and_no_rows_are_allowed() -> None:
    assert search(build([]), ["one two three four"]) == []
    assert search(build(["one two three four"]), []) == []
    assert search(build(["one two", "", "one two three"]), ["one two three"])[0][:3] == (0, 2, 3)


def test_more_hits_than_there_is_room_for_are_all_given() -> None:
    row = "one two three four five six"
    found = search(build([row]), [row] * 3_000)
    assert [hit[0] for hit in found] == list(range(3_000))


def test_a_very_long_row_is_searched_to_its_end() -> None:
    passage = " ".join(distinct(20))
    row = "some other words " * 300_000 + passage
    assert search(build([passage]), [row, passage]) == [(0, 0, 20, passage), (1, 0, 20, passage)]
