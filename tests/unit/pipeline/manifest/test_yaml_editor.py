from __future__ import annotations

import difflib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest.overrides import apply_override, parse_override
from pipeline.manifest.yaml_editor import emit, with_value
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import MapNode, SourceText, to_json


def written(text: str, override: str) -> str:
    return with_value(text, parse_override(1, override))


def changed(before: str, after: str) -> list[str]:
    """Lines taken out and put in, as ``diff`` shows them."""
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in lines if line[0] in "-+"]


STEPS = """\
# what it is for
name:   test        # aligned

steps:
  - bare            # by default
  - 'quoted'
  - empty:          # nothing yet
  - none: ~
  - braces: {}
  - flow: {low: 1,  high: 2.50 , list: [[2, 0.2], [3, 0.18]]}   # spaced
  - lines:  {low: 1,   # first
             high: 2}  # second
  - block:
      # about low
      low: 1        # one
      list:         # pairs
        - [2, 0.2]
        - [3, 0.18] # last

      high: 2
      # the end of block

  # between
  - my_filters.py:Own: {low: 1}
  - my_filters.py:Other
  - bare
# the end
"""


@pytest.mark.parametrize(
    ("override", "out", "come"),
    [
        (
            "bare.low=4",
            "  - bare            # by default",
            "  - bare: {low: 4}            # by default",
        ),
        ("bare_2.low=4", "  - bare", "  - bare: {low: 4}"),
        ("quoted.low=4", "  - 'quoted'", "  - 'quoted': {low: 4}"),
        (
            "empty.low=4",
            "  - empty:          # nothing yet",
            "  - empty: {low: 4}          # nothing yet",
        ),
        ("none.low=4", "  - none: ~", "  - none: {low: 4}"),
        ("braces.low=4", "  - braces: {}", "  - braces: {low: 4}"),
        ("lines.low=4", "  - lines:  {low: 1,   # first", "  - lines:  {low: 4,   # first"),
        ("lines.x=4", "             high: 2}  # second", "             high: 2, x: 4}  # second"),
        ("block.low=4", "      low: 1        # one", "      low: 4        # one"),
        ("block.list.1.1=0.5", "        - [3, 0.18] # last", "        - [3, 0.5] # last"),
        ("Own.low=4", "  - my_filters.py:Own: {low: 1}", "  - my_filters.py:Own: {low: 4}"),
        ("Other.low=4", "  - my_filters.py:Other", "  - my_filters.py:Other: {low: 4}"),
    ],
)
def test_one_line_changes_and_keeps_what_stands_beside(override: str, out: str, come: str) -> None:
    new = written(STEPS, f"steps.{override}")
    assert changed(STEPS, new) == [f"- {out}", f"+ {come}"]


@pytest.mark.parametrize(
    ("override", "inside"),
    [
        ("low=4", "{low: 4,  high: 2.50 , list: [[2, 0.2], [3, 0.18]]}"),
        ("high=1e-3", "{low: 1,  high: 1e-3 , list: [[2, 0.2], [3, 0.18]]}"),
        ("list.0.1=0.3", "{low: 1,  high: 2.50 , list: [[2, 0.3], [3, 0.18]]}"),
        ("list=[[5, 0.1]]", "{low: 1,  high: 2.50 , list: [[5, 0.1]]}"),
        ("new=null", "{low: 1,  high: 2.50 , list: [[2, 0.2], [3, 0.18]], new: null}"),
        ("a.b=1", "{low: 1,  high: 2.50 , list: [[2, 0.2], [3, 0.18]], a: {b: 1}}"),
    ],
)
def test_inside_braces_only_the_value_changes(override: str, inside: str) -> None:
    new = written(STEPS, f"steps.flow.{override}")
    assert changed(STEPS, new)[1:] == [f"+   - flow: {inside}   # spaced"]


def test_a_new_key_of_a_block_comes_after_the_last_one() -> None:
    new = written(STEPS, "steps.block.new=4")
    assert changed(STEPS, new) == ["+       new: 4"]
    assert "      high: 2\n      new: 4\n      # the end of block\n" in new


def test_a_block_that_is_replaced_keeps_what_stands_beside_its_key() -> None:
    new = written(STEPS, "steps.block.list=[[4, 0.16]]")
    assert "      list: [[4, 0.16]]         # pairs # last\n\n      high: 2\n" in new
    assert len(changed(STEPS, new)) == 4


def test_keys_at_the_top_can_be_set_and_added() -> None:
    assert changed(STEPS, written(STEPS, "name=other")) == [
        "- name:   test        # aligned",
        "+ name:   other        # aligned",
    ]
    new = written(STEPS, "gates.unique_id=true")
    assert changed(STEPS, new) == ["+ gates: {unique_id: true}"]
    assert new.endswith("  - bare\ngates: {unique_id: true}\n# the end\n")


@pytest.mark.parametrize(
    ("text", "override", "expected"),
    [
        ("seed: 1", "seed=2", "seed: 2"),
        ("seed:", "seed=2", "seed: 2"),
        ("seed: 1", "name=x", "seed: 1\nname: x"),
        ("seed: 1\r\nname: a\r\n", "output=x", "seed: 1\r\nname: a\r\noutput: x\r\n"),
        ("{seed: 1}", "name=x", "{seed: 1, name: x}"),
        ("{seed: , name: x}", "seed=2", "{seed: 2 , name: x}"),
        ("{seed}", "seed=2", "{seed: 2}"),
        ("{seed: 1,}", "name=x", "{seed: 1, name: x,}"),
        ("steps: [bare, other]", "steps.bare.low=1", "steps: [bare: {low: 1}, other]"),
        ("steps:\n- a:\n    b: 1\n- b\n", "steps.a.x=2", "steps:\n- a:\n    b: 1\n    x: 2\n- b\n"),
        ("name: |\n  two\n  lines\nseed: 1\n", "name=x", "name: x\nseed: 1\n"),
    ],
)
def test_texts_of_other_shapes(text: str, override: str, expected: str) -> None:
    assert written(text, override) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("40", "40"),
        ("true", "true"),
        ("'true'", "'true'"),
        ("word", "word"),
        ("a b, c", "'a b, c'"),
        ("it's", "'it''s'"),
        ("no", "'no'"),
        ('"a\\tb"', '"a\\tb"'),
        ('"\\u2028"', '"\\U00002028"'),
        ("${env:HOME}", "'${env:HOME}'"),
        ("{a: [1, ~], 'b c': x}", "{a: [1, ~], 'b c': x}"),
        ("", "null"),
    ],
)
def test_values_are_written_on_one_line(value: str, shown: str) -> None:
    assert emit(parse_override(1, f"a={value}").value) == shown


def tree(text: str) -> MapNode:
    node, problems = read_tree(SourceText("m", text))
    assert not problems, (text, problems)
    assert isinstance(node, MapNode)
    return node


scalars = (
    st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=9)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
paths = st.sampled_from(
    [
        *(
            "bare.x",
            "bare_2.x",
            "quoted.x",
            "empty.x",
            "none.x.y",
            "braces.x",
            "flow.low",
            "flow.x",
        ),
        *("flow.list", "flow.list.1", "flow.list.0.1", "lines.high", "lines.x", "block.low"),
        *("block.list", "block.list.1.0", "block.x", "block.high", "Own.low", "Own.x", "Other.x"),
    ]
)


def as_yaml(value: Any) -> str:
    """JSON that YAML reads the same way."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@given(st.lists(st.tuples(paths, values), min_size=1, max_size=4))
@settings(max_examples=120)
def test_the_text_says_what_the_overrides_say_and_keeps_its_comments(
    sets: list[tuple[str, Any]],
) -> None:
    text, root = STEPS, tree(STEPS)
    for path, value in sets:
        try:
            override = parse_override(1, f"steps.{path}={as_yaml(value)}")
            root = apply_override(root, override, ["name", "steps"])
        except ManifestError:  # a character that YAML forbids, or a path through a number
            continue
        text = with_value(text, override)
    assert to_json(tree(text), as_written=True) == to_json(root, as_written=True)
    for comment in ("what it is for", "aligned", "by default", "spaced", "pairs", "between"):
        assert f"# {comment}" in text
