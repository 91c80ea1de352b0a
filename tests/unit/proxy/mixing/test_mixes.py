from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import Problem
from pipeline.step import ManifestView
from proxy.mixing.components import Component, Part
from proxy.mixing.mixes import NATURAL, Mix, TokenCount, parse_tokens, with_natural

VIEW = ManifestView(Path(), 0, ("web", "docs", "code"), ("quality", "topic"))


def problems(mix: object) -> list[Problem]:
    return list(Mix.model_validate(mix).check(VIEW))


def codes(mix: object) -> list[str]:
    return [problem.code for problem in problems(mix)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("500k", 500_000), ("2M", 2_000_000), ("1.5b", 1_500_000_000), (7, 7)],
)
def test_token_counts_are_read_as_people_write_them(text: object, tokens: int) -> None:
    assert TypeAdapter(TokenCount).validate_python(text) == tokens


@pytest.mark.parametrize("text", ["2 apples", "", "M", "-1k", "1e6", 0, -3, 2.5, True, None])
def test_other_token_counts_are_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TokenCount).validate_python(text)


@given(st.text(max_size=12).filter(lambda text: not text.strip()[:1].isdecimal()))
def test_text_that_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="500k"):
        parse_tokens(text)


def test_the_ways_to_write_a_part() -> None:
    mix = Mix.model_validate(
        {
            "web": {"quality": "top 30%", "weight": 0.5, "max_epochs": 2},
            "docs": 0.2,
            "code": [{"topic": "top 10%"}, {"topic": "bottom 90%", "weight": 0.1}],
            "law": {"topic": ["court", "tax"], "quality": "top 5%", "level": 19},
            "max_epochs": 3,
            "tokens": "10M",
        }
    )
    assert mix.tokens == 10_000_000
    assert mix.components(VIEW.sources) == (
        Component("web", 0.5, 2, "quality", "top 30%"),
        Component("docs", 0.2, 3),
        Component("code", None, 3, "topic", "top 10%"),
        Component("code", 0.1, 3, "topic", "bottom 90%"),
        Component(
            "law", None, 3, "quality", "top 5%", (("topic", ("court", "tax")), ("level", (19,)))
        ),
    )


def test_proportional_is_every_source_without_a_weight() -> None:
    mix = Mix.model_validate("proportional")
    assert mix.proportional
    assert [(component.source, component.weight) for component in mix.components(VIEW.sources)] == [
        ("web", None),
        ("docs", None),
        ("code", None),
    ]
    assert Mix.model_validate({"tokens": "1M"}).proportional


def test_natural_is_added_unless_a_proportional_mix_is_listed() -> None:
    half = Mix.model_validate({"web": 0.5, "docs": 0.5})
    proportional = Mix.model_validate("proportional")
    assert list(with_natural({"half": half})) == [NATURAL, "half"]
    assert with_natural({})[NATURAL].proportional
    assert list(with_natural({"half": half, "all": proportional})) == ["half", "all"]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ("even", "proportional"),
        ({}, "proportional"),
        ({"web": "half"}, "neither a weight"),
        ({"web": True}, "neither a weight"),
        ({"web": 0}, "greater than 0"),
        ({"web": -0.5}, "greater than 0"),
        ({"web": 1.5}, "less than or equal to 1"),
        ({"web": {"weight": "0.5"}}, "valid number"),
        ({"web": {"wieght": 0.5}}, "`wieght` is neither `weight`"),
        ({"web": {"quality": "best 30%"}}, "top 30%"),
        ({"web": {"quality": "top 30%", "topic": "top 10%"}}, "two columns"),
        ({"web": 1.0, "max_epochs": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(mix: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mix.model_validate(mix)


def test_an_unknown_source_is_named_with_the_nearest_known() -> None:
    (problem,) = problems({"wbe": 0.5, "docs": 0.5})
    assert (problem.path, problem.code) == (("wbe",), "unknown-source")
    assert problem.choices == ("web", "docs", "code")


def test_without_a_near_name_the_sources_alone_are_listed() -> None:
    (problem,) = problems({"xxxxxx": 0.5, "docs": 0.5})
    assert problem.choices == ("web", "docs", "code")


@pytest.mark.parametrize("share", [0.5, {"quality": "top 30%"}, [{"weight": 1}]])
def test_a_share_for_a_source_called_tokens_is_named_as_a_clash(share: object) -> None:
    with pytest.raises(ValidationError, match="a source called `tokens` needs another name"):
        problems({"tokens": share, "docs": 0.5})


def test_an_unknown_column_is_named_with_the_nearest_known() -> None:
    (problem,) = problems({"web": {"qualty": "top 30%"}})
    assert (problem.path, problem.code) == (("web", "qualty"), "unknown-column")
    assert "quality" in problem.choices


def test_a_misspelt_field_with_a_whole_number_is_an_unknown_column() -> None:
    (problem, weights) = problems({"web": {"wieght": 1, "weight": 0.5}})
    assert problem.path == ("web", "wieght")
    assert "weight" in problem.choices
    assert weights.code == "weights"


def test_the_language_is_a_category_of_every_document_but_no_score() -> None:
    assert codes({"web": {"language": ["en", "de"]}}) == []
    assert codes({"web": {"language": "top 10%"}}) == ["unknown-column"]


@pytest.mark.parametrize(
    "mix",
    [
        {"web": 0.5, "docs": 0.6},
        {"web": 0.5, "docs": 0.4},
        {"web": 0.5, "docs": 0.5, "code": {"quality": "top 10%"}},
    ],
)
def test_weights_that_do_not_work_out_are_problems(mix: object) -> None:
    assert codes(mix) == ["weights"]


@pytest.mark.parametrize(
    "mix",
    [
        "proportional",
        {"web": 0.1, "docs": 0.2, "code": 0.7},
        {"web": {"quality": "top 30%"}, "docs": 0.4},
        {"web": [{"quality": "top 30%", "weight": 0.9}, {"quality": "bottom 70%"}]},
        {"web": [{"topic": "law", "weight": 0.9}, {"topic": ["tax", "health"]}]},
    ],
)
def test_sound_mixes_have_no_problems(mix: object) -> None:
    assert codes(mix) == []


def test_the_json_schema_takes_what_the_model_takes() -> None:
    validator = Draft202012Validator(Mix.model_json_schema())
    for mix in (
        "proportional",
        {"web": 0.5, "docs": {"quality": "top 30%", "weight": 0.2}, "tokens": "2M"},
        {"code": [{"topic": "top 10%"}, 0.1]},
        {"web": {"topic": "law", "quality": "top 30%"}},
        {"web": [{"topic": ["law", "tax"], "level": [18, 19]}, {"level": 0}]},
        {"web": {"topic": ["top 30%"]}},
    ):
        assert Mix.model_validate(mix)
        assert validator.is_valid(mix), mix
    for mix in ("even", {"web": "half"}, {"web": 2}, {"web": {"quality": "best 3%"}}):
        with pytest.raises(ValidationError):
            Mix.model_validate(mix)
        assert not validator.is_valid(mix), mix
    assert Part.model_json_schema()
