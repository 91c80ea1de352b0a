"""Mistakes of syntax, at the line that has to be mended."""

from __future__ import annotations

import pytest

from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import SourceText

COLUMN = "this line begins in another column than those above"
DEEPER = "this line is indented deeper than the one above, which already has a value"
NO_COLON = "this key has no ': ' after it"


def mistake(text: str) -> tuple[int, int, str]:
    (problem,) = read_tree(SourceText("m.yaml", text))[1]
    assert problem.code == "yaml-syntax"
    assert problem.hint
    return problem.line, problem.column, problem.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps:\n  - a\n - b\nseed: 1\n", (3, 2, COLUMN)),
        ("steps:\n    - a\n  - b\n", (3, 3, COLUMN)),
        ("sources:\n  a: {format: x}\n   b: {format: y}\n", (3, 4, COLUMN)),
        ("sources:\n    a: {format: x}\n  b: {format: y}\n", (3, 3, COLUMN)),
        ("steps:\n  - a:\n      n: 5\n     m: 3\n", (4, 6, COLUMN)),
        ("steps:\n  - a:\n      n: 5\n        m: 3\n", (4, 9, DEEPER)),
        ("name: a\n\n  seed: 1\n", (3, 3, DEEPER)),
        (" name: a\nseed: 1\n", (2, 1, "this line begins further left than the first one")),
        ("a: 1\n- b\n", (2, 1, "a list item stands where the block above should go on or end")),
        (
            "steps:\n  - a\n  seed: 1\n",
            (3, 3, "a key stands where the block above should go on or end"),
        ),
    ],
)
def test_a_wrong_indentation_is_shown_at_the_line_that_has_it(
    text: str, expected: tuple[int, int, str]
) -> None:
    assert mistake(text) == expected


@pytest.mark.parametrize("line", ["format jsonl", "format:jsonl", "seed"])
@pytest.mark.parametrize("follows", ["paths: x", "", "paths: [x]"])
def test_a_missing_colon_is_shown_where_it_is_missing(line: str, follows: str) -> None:
    rest = f"    {follows}\n" if follows else ""
    text = f"sources:\n  a:\n    {line}\n{rest}    last: 1\n"
    assert mistake(text)[:2] == (3, 5)
    assert mistake(text)[2] == NO_COLON


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("sources: {a: {format: x}\nsteps:\n  - b\n", 10),
        ("steps: [a, b\nseed: 1\n", 8),
        ("steps: [a, b\n", 8),
    ],
)
def test_a_bracket_is_shown_where_it_opens(text: str, column: int) -> None:
    assert mistake(text) == (1, column, "a bracket is opened and never closed")


def test_a_missing_comma_is_shown_where_it_is_missing() -> None:
    line, column, message = mistake("a: {b: 1 c: 2}\n")
    assert (line, column) == (1, 11)
    assert message == "a comma or a closing bracket is missing here"
