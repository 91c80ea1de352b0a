from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unspaced_scripts import is_unspaced

from kernels.ngrams.overlap import NGRAM, OverlapIndex, shingles
from kernels.text.normalisation import normalise_one

# Few words, so that texts share shingles; some characters that count as words by themselves.
WORDS = st.sampled_from(["a", "b", "cat", "dog", "éa", "0", "水", "山川", "ก", "naïve", "한국"])
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)


def texts_of(*rows: str) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def reference_words(text: str) -> list[str]:
    """Words by definition, in plain Python."""
    words: list[str] = []
    for token in normalise_one(text).split():
        word = ""
        for char in token:
            if is_unspaced(char):
                words += [word, char] if word else [char]
                word = ""
            else:
                word += char
        words += [word] if word else []
    return words


def reference_shingles(text: str) -> set[tuple[str, ...]]:
    words = reference_words(text)
    if len(words) < NGRAM:
        return {tuple(words)}
    return {tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def best(few: list[str], many: list[str]) -> tuple[list[int], list[float]]:
    """Entry and share per row when every shingle is distinctive."""
    found = OverlapIndex.build(shingles(texts_of(*few))).compare(shingles(texts_of(*many)))
    return found.entry.tolist(), found.share.tolist()


def jaccard_of(one: str, two: str) -> float:
    a, b = reference_shingles(one), reference_shingles(two)
    return len(a & b) / len(a | b)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, max_size=6))
@settings(max_examples=150, deadline=None)
def test_counts_equal_set_arithmetic_on_the_words(few: list[str], many: list[str]) -> None:
    entries, shares = best(few, many)
    for text, entry, share in zip(many, entries, shares, strict=True):
        held = reference_shingles(text)
        wanted = [len(held & s) / len(s) for s in map(reference_shingles, few)]
        assert share == pytest.approx(max(wanted))
        assert entry == (int(np.argmax(wanted)) if max(wanted) else -1)


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_unicode_text_gives_the_shingles_of_its_words(one: str, two: str) -> None:
    one, two = (t.encode("utf-8", "ignore").decode() for t in (one, two))
    got = shingles(texts_of(one, two))
    assert len(got) == 2
    assert [int(n) for n in np.diff(got.starts)] == [
        max(1, len(reference_words(t)) - NGRAM + 1) for t in (one, two)
    ]
    equal = reference_shingles(one) == reference_shingles(two)
    values = [set(got.values[got.starts[i] : got.starts[i + 1]].tolist()) for i in (0, 1)]
    assert (values[0] == values[1]) == equal


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_jaccard_is_given_from_one_half_up_and_is_never_above_the_share(one: str, two: str) -> None:
    found = OverlapIndex.build(shingles(texts_of(one))).compare(shingles(texts_of(two)))
    wanted = jaccard_of(one, two)
    assert found.jaccard[0] == pytest.approx(wanted if wanted >= 0.5 else 0.0)
    assert wanted <= found.share[0] + 1e-12


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, max_size=4), TEXTS)
@settings(max_examples=100, deadline=None)
def test_common_shingles_do_not_count_as_distinctive(
    few: list[str], many: list[str], boilerplate: str
) -> None:
    common = reference_shingles(boilerplate)
    hashes = shingles(texts_of(boilerplate)).values
    found = OverlapIndex.build(shingles(texts_of(*few)), hashes).compare(shingles(texts_of(*many)))
    for row, text in enumerate(many):
        shares = []
        for entry in few:
            rare = reference_shingles(entry) - common
            shares.append(len(rare & reference_shingles(text)) / len(rare) if rare else 0.0)
        likeness = [
            max(share, jaccard if (jaccard := jaccard_of(entry, text)) >= 0.5 else 0.0)
            for share, entry in zip(shares, few, strict=True)
        ]
        assert max(found.share[row], found.jaccard[row]) == pytest.approx(max(likeness))


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_frequencies_count_rows_not_occurrences(few: list[str], many: list[str]) -> None:
    index = OverlapIndex.build(shingles(texts_of(*few)))
    counts = index.frequencies(shingles(texts_of(*many)))
    wanted = [
        sum(held in reference_shingles(text) for text in many)
        for held in set().union(*map(reference_shingles, few))
    ]
    assert sorted(counts.tolist()) == sorted(wanted)


def test_case_numbers_punctuation_and_accents_do_not_hide_a_copy() -> None:
    original = "The Café sold 1,250 cups of coffee on Monday, before noon."
    copy = "the cafe sold 980 cups... of COFFEE on monday before noon"
    assert best([original], [copy]) == ([0], [1.0])


def test_a_document_inside_a_longer_one_is_found_and_named() -> None:
    passage = "it was a dark and stormy night and the rain fell in torrents"
    other = "call me ishmael some years ago never mind how long precisely"
    book = "section one " + "word " * 500 + passage + " and so on " * 200
    assert best([other, passage], [book]) == ([1], [1.0])


def test_short_texts_match_only_when_they_are_equal() -> None:
    few = ["hello world", "hello world again", "!!!"]
    many = ["Hello, world!", "hello", "hello world again and more of it", "", "..."]
    entries, shares = best(few, many)
    assert entries == [0, -1, -1, 2, 2]
    assert shares == [1.0, 0.0, 0.0, 1.0, 1.0]


def test_a_repeated_shingle_counts_once() -> None:
    entries, shares = best(["a b c d e f g h i j"], ["a b c d e " * 50])
    assert entries == [0]
    assert shares == [pytest.approx(1 / 6)]


def test_the_first_entry_wins_a_tie() -> None:
    text = "one two three four five six seven"
    assert best(["nothing shared here at all really", text, text], [text]) == ([1], [1.0])


def test_chinese_without_spaces_is_compared_by_character() -> None:
    text = "人类对自然的认识是一个漫长的过程需要许多代人的努力"
    entries, shares = best([text], [text[:20] + "完全不同的结尾在这里"])
    assert entries == [0]
    assert 0.5 < shares[0] < 1


def test_no_rows_and_no_entries_are_allowed() -> None:
    assert best(["a b c d e f"], []) == ([], [])
    assert best([], ["a b c d e f"]) == ([-1], [0.0])


def test_a_slice_of_an_array_gives_its_own_rows() -> None:
    rows = texts_of("zero zero", "one two three four five six", "a b c d e f g")
    whole, part = shingles(rows), shingles(rows.slice(1, 1))
    assert part.values.tolist() == whole.values[whole.starts[1] : whole.starts[2]].tolist()
