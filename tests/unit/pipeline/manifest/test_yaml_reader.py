"""YAML 1.2, its core types, positions and limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LocatedProblem
from pipeline.manifest.yaml_reader import MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, read_tree
from pipeline.manifest.yaml_tree import MapNode, SourceText, scalars, to_json

# Pieces that make text look like YAML more often than chance does.
PIECES = [
    *("a: ", "- ", "\n", "  ", "{", "}", "[", "]", ", ", "'", '"', "&x ", "*x", "!t ", "|\n", ">"),
    *("? ", ": ", "#", "---\n", "...\n", "%YAML 1.1\n", "<<: ", "017", "1e999", "\\u", "\t", "\r"),
    *("\ufeff", "\x00", "\u2028", "é", "😀", "~", "${env:X}", "key", "0x", '"\\ud800"'),
]
yaml_like = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map(
    "".join
)


def value(text: str) -> object:
    tree, problems = read_tree(SourceText("f", text))
    assert not problems
    assert tree is not None
    return to_json(tree)


def problems(text: str) -> list[LocatedProblem]:
    return read_tree(SourceText("f", text))[1]


def codes(text: str) -> list[tuple[str, int, int]]:
    return [(p.code, p.line, p.column) for p in problems(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("y", "y"), ("true", True), ("False", False),
        ("tRUE", "tRUE"), ("~", None), ("null", None), ("nULL", "nULL"), ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), ("3.10", 3.1), ("3", 3), ("-3", -3),
        ("+3", 3), ("0o17", 15), ("0x1F", 31), ("0b11", "0b11"), ("1e3", 1000.0), (".5", 0.5),
        ("5.", 5.0), ("-0", 0), ("'3'", "3"), ('"true"', "true"), ("2M", "2M"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(text: str, expected: object) -> None:
    found = value(f"key: {text}")
    assert found == {"key": expected}
    assert type(found["key"]) is type(expected)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("017", "leading-zero"), ("-08", "leading-zero"), (".inf", "not-finite"),
        ("-.INF", "not-finite"), (".nan", "not-finite"), ("1e999", "too-large-number"),
        ("9223372036854775808", "too-large-number"), ("9" * 5000, "too-large-number"),
        ("!!python/object:os.system x", "tag"), ("!x", "tag"), ("&a 1", "anchor"),
        ("*.jsonl", "alias"), ('"\\0"', "unusable-character"), ('"\\ud800"', "unusable-character"),
    ],
)  # fmt: skip
def test_a_value_that_readers_could_take_differently_is_refused_where_it_stands(
    text: str, code: str
) -> None:
    assert codes(f"ok: 1\nkey: {text}") == [(code, 2, 6)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", ("duplicate-key", 2, 1)),
        ("{a: 1, b: {c: 1, 'c': 2}}", ("duplicate-key", 1, 18)),
        ("1: x", ("key-not-text", 1, 1)),
        ("true: x", ("key-not-text", 1, 1)),
        ("[1, 2]: x", ("key-not-text", 1, 1)),
        ("<<: {a: 1}", ("merge-key", 1, 1)),
        ("a: 1\n---\nb: 2", ("second-document", 2, 1)),
        ("%YAML 1.1\n---\na: 1", ("yaml-version", 2, 1)),
        ("a: 1\n\tb: 2", ("yaml-syntax", 2, 1)),
        ("a: [1, 2\n", ("yaml-syntax", 1, 4)),
        ("a: 'x\n", ("yaml-syntax", 1, 4)),
        ('a: "\\U00119999"', ("yaml-syntax", 1, 1)),
        ("a: b: c", ("yaml-syntax", 1, 5)),
        ("a: \x07", ("unprintable-character", 1, 4)),
        ("a: b\u2028c", ("unprintable-character", 1, 5)),
    ],
)
def test_structure_that_is_refused(text: str, expected: tuple[str, int, int]) -> None:
    assert codes(text) == [expected]


def test_a_duplicate_key_names_both_positions() -> None:
    (problem,) = problems("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert (problem.line, problem.column) == (4, 3)
    assert "line 3, column 3" in problem.message


def test_tabs_are_explained() -> None:
    (problem,) = problems("a:\n\t- b\n")
    assert "tab" in problem.message
    assert problem.hint == "indent with spaces"


def test_reading_goes_on_after_a_problem() -> None:
    tree, found = read_tree(SourceText("f", "a: &x 1\nb: 017\nc: !t 2\nd: 4\nd: 5\n"))
    assert [p.code for p in found] == ["anchor", "leading-zero", "tag", "duplicate-key"]
    assert isinstance(tree, MapNode)
    assert to_json(tree.entries["d"].value) == 4


def test_empty_text_has_no_tree() -> None:
    for text in ("", "# only a comment\n", "\n\n"):
        assert read_tree(SourceText("f", text)) == (None, [])


def test_limits_on_depth_values_and_problems() -> None:
    assert value("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert codes("[" * 100_000)[-1] == ("too-deep", 1, MAX_DEPTH + 1)
    assert value("[" + "1," * (MAX_NODES - 2) + "]")
    assert codes("[" + "1," * MAX_NODES + "]")[-1][0] == "too-large"
    found = codes("[" + "*a," * 1_000 + "]")
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1][0] == "too-many-problems"


def test_positions_count_characters_and_lines_as_editors_do() -> None:
    tree, _ = read_tree(SourceText("f", "é: 1\r\n😀: x\rz:\n  - q\n"))
    assert isinstance(tree, MapNode)
    places = [(s.text, s.place.line, s.place.column) for s in scalars(tree)]
    assert places == [("1", 1, 4), ("x", 2, 4), ("q", 4, 5)]
    keys = [(e.place.line, e.place.column) for e in tree.entries.values()]
    assert keys == [(1, 1), (2, 1), (3, 1)]


def test_a_tree_can_begin_within_a_text() -> None:
    tree, found = read_tree(SourceText("--set #1", "a.b=[1, 017]"), 4)
    assert tree is not None
    assert (found[0].line, found[0].column) == (1, 9)


def test_snippets_cannot_steer_a_terminal() -> None:
    (problem,) = problems("a: \x1b[31m")
    assert "\x1b" not in str(problem)
    (problem,) = problems("a: 1 # \u202e\na: 2 # \u202e")
    assert "\u202e" not in str(problem)


def test_the_caret_stands_under_the_column() -> None:
    (problem,) = problems("\u00e9\u00e9: 017")
    lines = str(problem).splitlines()
    assert lines[1][lines[2].index("^") :] == "017"


@given(yaml_like)
def test_any_text_gives_a_tree_or_problems_that_lie_in_it(text: str) -> None:
    source = SourceText("f", text)
    tree, found = read_tree(source)
    for problem in found:
        assert 1 <= problem.line <= text.count("\n") + text.count("\r") + 1
        assert 1 <= problem.column <= len(source.text) + 1
        assert "\x1b" not in str(problem)
    if tree is not None:
        to_json(tree)
        for scalar in scalars(tree):
            assert source.place(len(text)).line >= scalar.place.line


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.text(max_size=8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=12,
    )
)
def test_json_is_read_as_json(data: object) -> None:
    import json

    text = json.dumps(data)
    if "\\u0000" in text or "\\ud" in text or "\x7f" in text:
        return  # refused, or (astral) written as two halves, which YAML does not join
    tree, found = read_tree(SourceText("f", text))
    assert not found
    assert (None if tree is None else to_json(tree)) == data
