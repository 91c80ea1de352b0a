"""The compiled tokenizer cuts spans as spaCy does, or says that it cannot."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.words.english_rules import LIMIT
from kernels.words.english_specials import join_specials
from kernels.words.english_split import NOT_HERE, split_span
from kernels.words.span_tokenizer import span_tokenizer

MARKS = "()[]{}:;-_.,'\"‘’*^/\\<>=|83oODPpXx0aAbB#…—–!?$%&@~°²µkmsSUTé"
PIECES = [
    *("(", ")", "[", ".", "..", "...", "'", '"', ",", "$", "US$", "C$", "5", "12", "km", "km/h"),
    *("%", "a", "Foo", "http://", "www.", "x.com", "/", "?q=1", "@", ":80", ":80808080", "-"),
    *("--", "---", "—", "——", "’s", "'s", "'S", "1.2.3.4", "10.0.0.1", "a.b.cd", "://", "°F."),
    *("e.g.", "):", "f(x):", "don't", "a.m.", "C++", "_", "-a", "a_", ".com", "é", "x@y.org"),
]


def exceptions() -> list[str]:
    rules = span_tokenizer("en").rules.specials
    data, ends = rules.data.tobytes(), rules.ends.tolist()
    found = [data[start:end].decode() for start, end in pairwise(ends)]
    return [text for text in found if not any(map(str.isspace, text))]


spans = st.one_of(
    st.text(st.sampled_from(MARKS), min_size=1, max_size=14),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    st.lists(
        st.one_of(st.sampled_from(exceptions()), st.sampled_from(PIECES)), min_size=1, max_size=6
    ).map("".join),
    st.text(
        st.characters(max_codepoint=LIMIT - 1).filter(lambda char: not char.isspace()),
        min_size=1,
        max_size=10,
    ),
)


def cut(span: str) -> tuple[list[str], list[str]] | None:
    """Its tokens after the first and after the second phase."""
    data = np.frombuffer(span.encode(), dtype=np.uint8)
    starts = np.empty(len(data) + 1, dtype=np.int64)
    rules = span_tokenizer("en").rules
    count = split_span(rules, data, 0, len(data), starts, np.empty_like(starts))
    if count == NOT_HERE:
        return None
    starts[count] = len(data)
    phases = [[*starts[:count].tolist(), len(data)]]
    count, changed = join_specials(rules, data, starts, count)
    phases.append([*starts[:count].tolist(), len(data)])
    first, second = ([bytes(data[a:b]).decode() for a, b in pairwise(at)] for at in phases)
    assert changed == (first != second)
    return first, second


@settings(max_examples=1_500, deadline=None)
@example("(:don't).")
@example(":-)):-))")
@example("_10.0.0.1")
@given(spans)
def test_both_phases_are_those_of_spacy(span: str) -> None:
    tokenizer = span_tokenizer("en")
    found = cut(span)
    if found is not None:
        (first,) = tokenizer._split(tokenizer._first_phase, [span])
        (second,) = tokenizer._split(tokenizer._whole, [span])
        assert found == (first, second)


@pytest.mark.parametrize(
    ("span", "tokens"),
    [
        ("word", ["word"]),
        ("word,", ["word", ","]),
        ("(word).", ["(", "word", ")", "."]),
        ("John's", ["John", "'s"]),
        ("can't", ["ca", "n't"]),
        ("5km/h", ["5", "km/h"]),
        ("US$5", ["US$", "5"]),
        ("A.", ["A."]),
        ("end.", ["end", "."]),
        ("USA.", ["USA", "."]),
        ("x=1", ["x=1"]),
        ("a=b", ["a", "=", "b"]),
        ("well-known", ["well", "-", "known"]),
        ("http://example.com/a-b?c=d,", ["http://example.com/a-b?c=d", ","]),
        ("me@example.org", ["me@example.org"]),
        ("f(x):", ["f(x", "):"]),
    ],
)
def test_common_shapes(span: str, tokens: list[str]) -> None:
    found = cut(span)
    assert found is not None
    assert found[1] == tokens


@pytest.mark.parametrize("span", ["你好", "😀", "8.8.8.8", "a b", "naïve.café", "ｆull"])
def test_what_the_tables_do_not_know_is_left_to_spacy(span: str) -> None:
    assert cut(span) is None


def test_a_very_long_span_takes_no_more_than_a_moment() -> None:
    for span in ("." * 200_000, "(" * 200_000, "a@" * 100_000, "a.b" * 70_000, "1" * 200_000):
        cut(span)
