"""C4's lines, words and phrases are found as plain Python finds them."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines.c4 import (
    COUNTS,
    CURLY_BRACKET,
    JAVASCRIPT,
    LOREM_IPSUM,
    POLICY,
    LineRules,
    c4_lines,
    has_word,
    long_lines,
    word_trie,
)

ALL = LOREM_IPSUM | JAVASCRIPT | CURLY_BRACKET | POLICY
ANY = LineRules(
    remove_citations=False, terminal=False, min_words=-1, max_word_length=-1, watched=ALL
)
CITED = ANY._replace(remove_citations=True, watched=0)
POLICIES = ("terms of use", "privacy policy", "cookie policy")
POLICIES += ("uses cookies", "use of cookies", "use cookies")
FOUND = {"lorem ipsum": "lorem_ipsum", "javascript": "javascript", "{": "curly_bracket"}
FOUND |= dict.fromkeys(POLICIES, "policy")

texts = st.text(st.characters(exclude_categories=["Cs"]))


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def outcome(text: str, rules: LineRules = ANY) -> str:
    """What became of a text of one line."""
    (counts,) = c4_lines(arrow([text]), rules).counts
    assert counts[0] == 1
    assert counts[1:].sum() == 1
    return COUNTS[1 + int(np.argmax(counts[1:]))]


def cased(phrase: str) -> st.SearchStrategy[str]:
    """The phrase in any case, the Kelvin sign for some a "k"."""
    return st.tuples(
        *(
            st.sampled_from([char, char.upper(), "\u212a" if char == "k" else char])
            for char in phrase
        )
    ).map("".join)


@settings(max_examples=300)
@given(
    st.data(),
    st.sampled_from(sorted(FOUND)),
    st.text("ax é\u212a", max_size=6),
    st.text("ax é", max_size=6),
)
def test_phrases_are_found_wherever_they_stand(
    data: st.DataObject, phrase: str, before: str, after: str
) -> None:
    text = data.draw(cased(phrase))
    assert outcome(f"{before}{text}{after}") == FOUND[phrase]


@settings(max_examples=300)
@given(st.sampled_from(sorted(FOUND)), st.data(), st.sampled_from("x\x00\u212a.ſİ\u0301\xa0"))
def test_phrases_with_another_character_in_them_are_not(
    phrase: str, data: st.DataObject, other: str
) -> None:
    at = data.draw(st.integers(0, len(phrase) - 1))
    text = phrase[:at] + other + phrase[at + 1 :]
    lower = text.lower()
    expected = next((name for words, name in FOUND.items() if words in lower), "kept_lines")
    assert outcome(text) == expected


@pytest.mark.parametrize("phrase", sorted(FOUND))
def test_only_what_is_watched_counts(phrase: str) -> None:
    assert outcome(phrase, ANY._replace(watched=0)) == "kept_lines"


@pytest.mark.parametrize("cut", ["[]", "[1]", "[edit]", "[citation needed]", "[٣]"])
@pytest.mark.parametrize("phrase", sorted(FOUND))
def test_phrases_may_appear_once_citations_are_gone(phrase: str, cut: str) -> None:
    rules = ANY._replace(remove_citations=True)
    for at in range(len(phrase) + 1):
        assert outcome(phrase[:at] + cut + phrase[at:], rules) == FOUND[phrase]


@settings(max_examples=300)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["[", "]", "1", "٣", "²", "edit", "citation needed", "a", " ", "\n", "\x85"]
            )
        ).map("".join)
    )
)
def test_citations_are_cut_out_as_the_regular_expression_does(rows: list[str]) -> None:
    citation = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
    expected = [
        "\n".join(citation.sub("", line.strip()) for line in row.splitlines()).strip()
        for row in rows
    ]
    assert c4_lines(arrow(rows), CITED).text().to_pylist() == expected


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(["a", "bb", "é" * 3, "😀" * 4, " ", "\t", "\u3000", "\x1f"])).map(
        "".join
    ),
    st.integers(0, 8),
    st.integers(-1, 4),
)
def test_words_are_those_of_split(line: str, longest: int, least: int) -> None:
    words = line.split()
    rules = ANY._replace(max_word_length=longest, min_words=least)
    if any(len(word) > longest for word in words):
        expected = "too_long_word"
    else:
        expected = "too_few_words" if len(words) < least else "kept_lines"
    assert outcome(f"{line}\n", rules) == expected


@given(st.lists(texts, max_size=4))
def test_without_rules_lines_are_stripped_and_joined(rows: list[str]) -> None:
    found = c4_lines(arrow(["", *rows])[1:], ANY._replace(watched=0))
    lines = [[line.strip() for line in row.splitlines()] for row in rows]
    assert found.text().to_pylist() == ["\n".join(row).strip() for row in lines]
    assert found.count("lines").tolist() == [len(row) for row in lines]
    every = np.arange(len(rows))[::-1].copy()
    assert found.kept(every).to_pylist() == [line for row in lines[::-1] for line in row]


@given(st.lists(st.lists(texts, max_size=4), max_size=4))
def test_pieces_are_joined_by_spaces(rows: list[list[str]]) -> None:
    pieces = pa.array(rows, pa.large_list(pa.large_string()))
    found = c4_lines(arrow(["".join(row) for row in rows]), ANY._replace(watched=0), pieces)
    assert found.text().to_pylist() == [" ".join(map(str.strip, row)).strip() for row in rows]
    assert found.count("kept_lines").tolist() == [len(row) for row in rows]


@settings(max_examples=300)
@given(
    st.lists(st.text("abß_é. 1", min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.text("abß_é. 1\n", max_size=12), max_size=4),
)
def test_words_of_a_list_are_found_as_regular_expressions_do(
    words: list[str], rows: list[str]
) -> None:
    trie = word_trie(words)
    either = "|".join(map(re.escape, words))
    whole = re.compile(rf"(?:\W|^)({either})(?:\W|$)")
    assert has_word(arrow(rows), trie, anywhere=False).tolist() == [
        whole.search(row) is not None for row in rows
    ]
    assert has_word(arrow(rows), trie, anywhere=True).tolist() == [
        any(word in row for word in words) for row in rows
    ]


@given(st.lists(st.text("a\né\r"), max_size=4), st.integers(0, 4))
def test_long_lines_are_counted_in_characters(rows: list[str], least: int) -> None:
    expected = [sum(len(line) >= least for line in row.split("\n")) for row in rows]
    assert long_lines(arrow(rows), least).tolist() == expected
