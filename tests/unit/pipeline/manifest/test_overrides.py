"""``--set``: what it reaches, what it refuses, and where it says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest.overrides import apply_override, parse_override
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import MapNode, SourceText, to_json

KNOWN = ("name", "sources", "steps", "proxy", "executor")
TEXT = """\
name: run
sources:
  web: {format: jsonl, paths: [a, b]}
steps:
  - gopher_quality
  - gopher_quality: {min_stop_words: 1}
  - my_filters.py:Shouting:
"""


def tree() -> MapNode:
    root, problems = read_tree(SourceText("m.yaml", TEXT))
    assert isinstance(root, MapNode)
    assert not problems
    return root


def after(*texts: str) -> dict[str, object]:
    root = tree()
    for number, text in enumerate(texts, 1):
        root = apply_override(root, parse_override(number, text), KNOWN)
    values = to_json(root)
    assert isinstance(values, dict)
    return dict(values)


def refused(text: str) -> tuple[str, str, int, str]:
    with pytest.raises(ManifestError) as caught:
        after(text)
    (problem,) = caught.value.problems
    return problem.file, problem.code, problem.column, problem.hint


def test_a_step_named_alone_takes_parameters() -> None:
    steps = after("steps.gopher_quality.min_stop_words=3")["steps"]
    assert steps == [
        {"gopher_quality": {"min_stop_words": 3}},
        {"gopher_quality": {"min_stop_words": 1}},
        {"my_filters.py:Shouting": None},
    ]


def test_repeated_and_custom_steps_are_reached_by_label() -> None:
    steps = after("steps.gopher_quality_2.min_stop_words=3", "steps.Shouting.max_ratio=.4")["steps"]
    assert steps == [
        "gopher_quality",
        {"gopher_quality": {"min_stop_words": 3}},
        {"my_filters.py:Shouting": {"max_ratio": 0.4}},
    ]


def test_values_are_yaml() -> None:
    assert after("sources.web.paths=[x, 'y']")["sources"] == {
        "web": {"format": "jsonl", "paths": ["x", "y"]}
    }
    assert after("proxy={seeds: 2}")["proxy"] == {"seeds": 2}
    assert after("name='3'")["name"] == "3"
    assert after("name=a=b")["name"] == "a=b"
    assert after("name=")["name"] is None


def test_lists_are_reached_by_number() -> None:
    assert after("sources.web.paths.1=z")["sources"] == {
        "web": {"format": "jsonl", "paths": ["a", "z"]}
    }


def test_missing_mappings_on_the_way_are_made() -> None:
    assert after("proxy.evaluate.docs=x")["proxy"] == {"evaluate": {"docs": "x"}}


def test_the_last_one_wins() -> None:
    assert after("name=a", "name=b")["name"] == "b"


@pytest.mark.parametrize(
    ("text", "code", "column", "hint"),
    [
        ("name", "bad-override", 1, "write --set KEY.KEY=VALUE"),
        ("=3", "bad-override", 1, "write --set KEY.KEY=VALUE"),
        ("steps..x=3", "bad-override", 7, "write --set KEY.KEY=VALUE"),
        ("nmae=3", "unknown-field", 1, "did you mean 'name'?"),
        ("sources.wbe.paths=x", "unknown-source", 9, "did you mean 'web'?"),
        ("steps.gopher_qualty.min_stop_words=3", "unknown-step", 7,
         "did you mean 'gopher_quality'?"),
        ("name.x=3", "not-a-mapping", 6, "set name as a whole"),
        ("sources.web.paths.2=z", "no-such-item", 19, "items count from 0"),
        ("sources.web.paths.x=z", "no-such-item", 19, "items count from 0"),
        ("name=*.jsonl", "alias", 6, "repeat the value; quote text that begins with *"),
        ("proxy.seeds=017", "leading-zero", 13, 'write 17, or "017" if it is text'),
    ],
)  # fmt: skip
def test_what_leads_nowhere_is_refused_at_its_column(
    text: str, code: str, column: int, hint: str
) -> None:
    assert refused(text) == ("--set #1", code, column, hint)


def test_the_original_tree_is_left_alone() -> None:
    root = tree()
    before = to_json(root)
    apply_override(root, parse_override(1, "steps.gopher_quality.min_stop_words=3"), KNOWN)
    assert to_json(root) == before


@given(st.text(max_size=30) | st.text(alphabet="namesteps.=[]{}:0*&! ", max_size=30))
def test_any_text_is_applied_or_refused_within_it(text: str) -> None:
    try:
        after(text)
    except ManifestError as error:
        for problem in error.problems:
            assert problem.file == "--set #1"
            assert 1 <= problem.column <= len(text) + 1
