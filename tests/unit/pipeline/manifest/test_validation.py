"""Complaints about a tagged union are about the field that holds the tag, at its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from pipeline.errors import WinnowError
from pipeline.manifest.validation import build, checked_value
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import MapNode, SourceText


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["dog"]


class Home(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


def complaints(text: str) -> list[tuple[int, str, str, str]]:
    tree, problems = read_tree(SourceText("home.yaml", text))
    assert isinstance(tree, MapNode)
    assert problems == []
    made, found = build(Home, tree, tree.place, "the home")
    assert (made is None) == bool(found)
    return [(p.column, p.code, p.message, p.hint) for p in found]


def test_a_known_tag_chooses_its_branch() -> None:
    assert complaints("pet: {kind: cat, lives: 3}\n") == []


@pytest.mark.parametrize(
    ("tag", "got", "hint"), [("catt", "'catt'", "did you mean 'cat'?"), ("3", "3", "")]
)
def test_an_unknown_tag_is_said_where_it_stands(tag: str, got: str, hint: str) -> None:
    (found,) = complaints(f"pet: {{lives: 3, kind: {tag}}}\n")
    assert found == (23, "not-allowed", f"kind must be 'cat' or 'dog', not {got}", hint)


def test_a_missing_tag_is_a_missing_field() -> None:
    (found,) = complaints("pet: {lives: 3}\n")
    assert found[1:3] == ("missing-field", "pet of the home needs 'kind'")


def test_no_mapping_at_all_is_a_wrong_type() -> None:
    (found,) = complaints("pet: cat\n")
    assert found[1:3] == ("wrong-type", "pet must be a mapping, not 'cat'")


def test_the_fields_of_the_chosen_branch_are_those_that_count() -> None:
    (found,) = complaints("pet: {kind: dog, lives: 3}\n")
    assert found[1] == "unknown-field"
    (found,) = complaints("pet: {kind: cat, lives: many}\n")
    assert found[:2] == (25, "wrong-type")


def test_a_value_by_itself_is_read_strictly() -> None:
    assert checked_value(TypeAdapter(tuple[int, ...]), [1, 2], "sizes") == (1, 2)
    assert checked_value(TypeAdapter(float), 1, "share") == 1.0


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, "5", "wrong-type n must be a whole number, not '5'"),
        (int | str, [1], "wrong-type n must be a whole number or text, not [1]"),
        (Literal["a", "b"], "c", "not-allowed n must be 'a' or 'b', not 'c'"),
        (Annotated[int, Field(ge=3)], 1, "out-of-range n must be at least 3, not 1"),
    ],
)
def test_a_wrong_value_by_itself_has_the_words_of_any_field(
    kind: Any, value: JsonValue, message: str
) -> None:
    with pytest.raises(WinnowError) as caught:
        checked_value(TypeAdapter(kind), value, "n")
    assert str(caught.value).startswith(message)
