"""Tokens keep their numbers, and what the table says of them is what Python says."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.text.character_flags import LETTER, PUNCT, STOP, SYMBOL, character_flags
from kernels.text.punctuation import PUNCTUATION
from kernels.words.token_table import TokenTable

texts = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=90), max_size=20
)


def spelled(table: TokenTable, number: int) -> str:
    return table.data[table.offsets[number] : table.offsets[number + 1]].tobytes().decode()


@given(texts)
def test_a_token_has_one_number_and_its_own_spelling(tokens: list[str]) -> None:
    table = TokenTable(capacity=2)
    numbers = table.add(tokens)
    assert table.add(tokens) == numbers == [table.find(token) for token in tokens]
    assert [spelled(table, number) for number in numbers] == tokens
    assert len(table) == len(set(tokens))


@given(texts)
def test_lengths_and_flags_are_those_of_python(tokens: list[str]) -> None:
    table = TokenTable()
    for number, token in zip(table.add(tokens), tokens, strict=True):
        flags = int(table.flags[number])
        assert table.lengths[number] == len(token)
        assert bool(flags & SYMBOL) == PUNCTUATION.issuperset(token)
        assert bool(flags & LETTER) == any(map(str.isalpha, token))
        assert bool(flags & PUNCT) == all(unicodedata.category(c)[0] == "P" for c in token)


@given(texts, st.data())
def test_hashes_of_glued_tokens_follow_from_theirs(tokens: list[str], data: st.DataObject) -> None:
    tokens = [*tokens, "a", "bc", "ab", "c"]
    left, right = data.draw(st.tuples(st.sampled_from(tokens), st.sampled_from(tokens)))
    table = TokenTable()
    a, b, glued = table.add([left, right, left + right])
    hashes, powers, inverses = table.hashes, table.powers, table.inverses
    with np.errstate(over="ignore"):
        assert hashes[a] + powers[a] * hashes[b] == hashes[glued]
        assert powers[a] * powers[b] == powers[glued]
        assert powers[a] * inverses[a] == 1


@pytest.mark.parametrize(
    ("token", "stops"), [(".", True), ("!", True), ("。", True), ("..", False), (",", False)]
)
def test_a_token_of_one_such_character_ends_a_sentence(token: str, stops: bool) -> None:
    table = TokenTable()
    (number,) = table.add([token])
    assert bool(table.flags[number] & STOP) is stops


def test_what_was_not_met_has_no_number() -> None:
    table = TokenTable()
    table.add(["word"])
    assert table.find("words") == table.find("") == -1


def test_kinds_of_characters_are_shared_and_read_only() -> None:
    kinds = character_flags()
    assert kinds is character_flags()
    assert len(kinds) == 0x110000
    with pytest.raises(ValueError, match="read-only"):
        kinds[0] = 1
