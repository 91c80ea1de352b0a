from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.mixing.components import Component, Part, formatted, interval, overlaps


def part(value: object) -> Part:
    return Part.model_validate(value)


def codes(*values: object) -> list[str]:
    return [problem.code for problem in overlaps("web", [part(value) for value in values])]


@pytest.mark.parametrize(
    ("bucket", "quantiles"),
    [
        ("top 30%", (0.7, 1.0)),
        ("bottom 50%", (0.0, 0.5)),
        ("middle 40%", (0.3, 0.7)),
        ("top 2.5 %", (0.975, 1.0)),
        ("top 100%", (0.0, 1.0)),
    ],
)
def test_buckets_are_quantiles(bucket: str, quantiles: tuple[float, float]) -> None:
    assert interval(bucket) == pytest.approx(quantiles)


@pytest.mark.parametrize("bucket", ["top 0%", "top 101%", "30%", "best 30%", "top 30", "top -1%"])
def test_other_buckets_are_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match=r"bucket|share"):
        interval(bucket)


@pytest.mark.parametrize(
    ("value", "choices"),
    [
        ({"quality": "top 30%"}, {"quality": "top 30%"}),
        ({"topic": "law"}, {"topic": ("law",)}),
        ({"topic": ["law", "tax", "law"]}, {"topic": ("law", "tax")}),
        ({"level": 19}, {"level": (19,)}),
        ({"level": [18, 19]}, {"level": (18, 19)}),
        ({"topic": "top notch"}, {"topic": ("top notch",)}),
        ({"topic": ["top 30%"]}, {"topic": ("top 30%",)}),
        ({"topic": ""}, {"topic": ("",)}),
    ],
)
def test_buckets_are_told_from_categories(value: object, choices: dict[str, Any]) -> None:
    assert part(value).choices == choices


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"quality": "best 30%"}, "not a bucket; write one like top 30%"),
        ({"quality": "top 30"}, "for a category of that name"),
        ({"quality": "top 130%"}, "at most 100%"),
        ({"quality": "30 %"}, "not a bucket"),
        ({"topic": []}, "not a list of categories"),
        ({"topic": ["law", 0.5]}, "not a list of categories"),
        ({"topic": [["law"]]}, "not a list of categories"),
        ({"topic": True}, "neither a bucket like top 30% nor a category"),
        ({"topic": None}, "neither a bucket like top 30% nor a category"),
        ({"level": 0.5}, "`level` is neither `weight` nor `max_epochs`"),
        ({"a": "top 3%", "b": "top 3%"}, "buckets of two columns at once: a, b"),
    ],
)
def test_what_cannot_be_meant_is_said_in_words(value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        part(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.5, "web"),
        ({"quality": "top 30%"}, "web, quality top 30%"),
        ({"topic": "law"}, "web, topic law"),
        (
            {"topic": ["law", "tax"], "format": "faq", "quality": "top 5%", "weight": 0.2},
            "web, topic law or tax, format faq, quality top 5%",
        ),
        ({"level": [12, 13, 14, 17]}, "web, level 12 to 14 or 17"),
    ],
)
def test_a_pile_is_called_by_what_it_holds(value: object, name: str) -> None:
    assert part(value).component("web", 4).name == name


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((3, 1, 2), "1 to 3"),
        ((1, 2), "1 or 2"),
        ((0, 5, 6, 8), "0 or 5 or 6 or 8"),
        (("1", "2", "3"), "1 or 2 or 3"),
    ],
)
def test_runs_of_numbers_are_said_as_such(values: Any, said: str) -> None:
    assert formatted(values) == said


def test_a_pile_knows_its_columns_and_the_cap() -> None:
    component = part({"topic": "law", "quality": "top 5%", "max_epochs": 2}).component("web", 4)
    assert component.columns == ("topic", "quality")
    assert component.max_epochs == 2
    assert Component("web", None, 4).columns == ()


@pytest.mark.parametrize(
    "values",
    [
        [{"quality": "top 30%"}, {"quality": "bottom 70%"}],
        [{"quality": "top 30%"}, {"quality": "middle 40%"}, {"quality": "bottom 30%"}],
        [{"topic": "law"}, {"topic": "tax"}, {"topic": ["health", "art"]}],
        [{"topic": "law", "quality": "top 30%"}, {"topic": "tax", "format": "faq"}],
        [
            {"topic": ["law", "tax"], "quality": "top 30%"},
            {"topic": ["tax", "law"], "quality": "bottom 30%"},
        ],
        [{"topic": "law", "format": "faq"}, {"topic": "law", "format": "essay"}],
        [{"level": 19}, {"level": [17, 18]}],
        [0.5],
    ],
)
def test_parts_that_cannot_share_a_document(values: list[object]) -> None:
    assert codes(*values) == []


@pytest.mark.parametrize(
    "values",
    [
        [{"quality": "top 30%"}, {"quality": "bottom 80%"}],
        [{"quality": "top 30%"}, {"topic": "bottom 10%"}],
        [{"quality": "top 30%"}, {"weight": 0.5}],
        [{"topic": "law"}, {"topic": ["tax", "law"]}],
        [{"topic": "law"}, {"format": "faq"}],
        [{"topic": "law"}, 0.5],
        [{"topic": "law", "quality": "top 30%"}, {"topic": "law"}],
        # Buckets of different documents: the bottom of all may be the top of law.
        [{"topic": "law", "quality": "top 30%"}, {"quality": "bottom 70%"}],
        [
            {"topic": ["law", "tax"], "quality": "top 30%"},
            {"topic": "law", "quality": "bottom 70%"},
        ],
    ],
)
def test_parts_that_may_share_documents(values: list[object]) -> None:
    assert codes(*values) == ["overlapping-parts"]


def test_the_parts_that_may_meet_are_named() -> None:
    parts = [part({"topic": "law"}), part({"topic": "tax"}), part({"topic": ["art", "tax"]})]
    (problem,) = overlaps("web", parts)
    assert problem.path == ("web",)
    assert problem.message == "parts 2 and 3 of 'web' may share documents"


VALUES = st.sets(st.sampled_from("xyz"), min_size=1).map(sorted)
CHOICES = st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2)


@given(CHOICES, CHOICES)
def test_parts_of_categories_pass_exactly_when_no_document_is_in_both(
    one: dict[str, list[str]], two: dict[str, list[str]]
) -> None:
    documents = [dict(zip("ab", values, strict=True)) for values in product("xyz", repeat=2)]

    def inside(document: dict[str, str], choice: dict[str, list[str]]) -> bool:
        return all(document[column] in values for column, values in choice.items())

    share = any(inside(document, one) and inside(document, two) for document in documents)
    assert codes(one, two) == (["overlapping-parts"] if share else [])
