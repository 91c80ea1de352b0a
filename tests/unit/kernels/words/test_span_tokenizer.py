"""The tokenizer cuts spans as spaCy cuts texts, and knows what its second phase did."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.words.span_tokenizer import REFUSED, SpanTokenizer, span_tokenizer

spans = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(
    lambda text: "".join(char for char in text if not char.isspace()) or "x"
)


@pytest.fixture(scope="module")
def model() -> spacy.Language:
    return spacy.blank("en")


@settings(deadline=None)
@given(rows=st.lists(spans, max_size=5))
def test_each_span_is_cut_as_a_text_of_its_own(model: spacy.Language, rows: list[str]) -> None:
    pieces = list(span_tokenizer("en").pieces(rows))
    assert [piece.tokens for piece in pieces] == [
        [token.text for token in model(row)] for row in rows
    ]


@pytest.mark.parametrize(
    ("span", "tokens", "changed"),
    [
        ("don't", ["do", "n't"], False),
        ("):", ["):"], False),
        ("f(x):", ["f(x", "):"], True),
        ("foo--a.m.", ["foo", "--", "a.m."], True),
        ("John's", ["John", "'s"], False),
    ],
)
def test_what_the_second_phase_changed_is_known(
    span: str, tokens: list[str], changed: bool
) -> None:
    (piece,) = span_tokenizer("en").pieces([span])
    assert piece.tokens == tokens
    assert piece.changed is changed


def test_only_the_word_itself_is_refused() -> None:
    found = span_tokenizer("en").pieces([REFUSED, f"({REFUSED})", f"x{REFUSED}", "word"])
    assert [piece.refused for piece in found] == [True, True, False, False]


def test_the_refused_word_can_be_met_any_number_of_times() -> None:
    tokenizer = span_tokenizer("en")
    for _ in range(3):
        (piece,) = tokenizer.pieces([REFUSED])
        assert piece.tokens == [REFUSED]


def test_many_spans_come_back_in_order() -> None:
    rows = [f"word{i}" for i in range(20_000)]
    assert [piece.tokens for piece in span_tokenizer("en").pieces(rows)] == [[r] for r in rows]


def test_the_process_has_one_tokenizer() -> None:
    assert span_tokenizer("en") is span_tokenizer("en")


def test_another_tokenizer_has_the_same_clashes() -> None:
    assert (SpanTokenizer("en").clashes == span_tokenizer("en").clashes).all()
