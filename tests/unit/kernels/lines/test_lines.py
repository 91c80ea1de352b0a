"""Marks, lines and paragraphs are counted as plain Python counts them."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines.lines import marks, repeated_lines, repeated_paragraphs, text_lengths

BITS = ["\n", "\n\n", "\r\n", "\u2028", "\x1c", " ", "\t", "\u3000", "a", "é", "b", "#", "-", "•"]
# Long pieces put the marks next to the borders of blocks of 64 bytes.
LONG = ["x" * 31, "y" * 60, " " * 63, "é" * 32, "." * 65, "\n" * 64]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from([*BITS, *LONG, ".", "…", "\x85", "\u2029"])).map("".join),
    st.lists(st.sampled_from([*BITS, ".", "..", "...", "…", "\x85", "\u2022", "‥"])).map("".join),
)
rows_of_text = st.lists(texts, max_size=6)


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def repeats(pieces: list[str]) -> tuple[int, int, int]:
    seen: set[str] = set()
    copies = []
    for piece in pieces:
        if piece in seen:
            copies.append(piece)
        seen.add(piece)
    return len(pieces), len(copies), sum(map(len, copies))


@settings(deadline=None)
@given(rows_of_text)
def test_marks_are_counted_as_str_count_does(rows: list[str]) -> None:
    found = marks(arrow(rows))
    assert found.hashes.tolist() == [row.count("#") for row in rows]
    assert found.ellipses.tolist() == [row.count("...") + row.count("…") for row in rows]


@settings(deadline=None)
@given(rows_of_text)
def test_lines_are_those_of_splitlines(rows: list[str]) -> None:
    found = marks(arrow(rows))
    lines = [row.splitlines() for row in rows]
    assert found.lines.tolist() == [len(row) for row in lines]
    assert found.bullets.tolist() == [
        sum(line.lstrip().startswith(("•", "-")) for line in row) for row in lines
    ]
    assert found.trailing.tolist() == [
        sum(line.rstrip().endswith(("...", "…")) for line in row) for row in lines
    ]


@settings(deadline=None)
@given(rows_of_text)
def test_lengths_are_in_code_points(rows: list[str]) -> None:
    assert text_lengths(arrow(rows)).tolist() == [len(row) for row in rows]


@settings(deadline=None)
@given(rows_of_text)
def test_repeated_lines_are_those_of_the_unstripped_text(rows: list[str]) -> None:
    found = repeated_lines(arrow(rows))
    got = list(zip(found.pieces, found.repeats, found.characters, strict=True))
    assert got == [repeats(re.split(r"\n+", row)) for row in rows]


@settings(deadline=None)
@given(rows_of_text)
def test_repeated_paragraphs_are_those_of_the_stripped_text(rows: list[str]) -> None:
    found = repeated_paragraphs(arrow(rows))
    got = list(zip(found.pieces, found.repeats, found.characters, strict=True))
    assert got == [repeats(re.split(r"\n{2,}", row.strip())) for row in rows]


@pytest.mark.parametrize(
    ("text", "pieces", "copies", "characters"),
    [
        ("", 1, 0, 0),
        ("\n", 2, 1, 0),
        ("\n\n\n", 2, 1, 0),
        ("a\na\r\na\n", 4, 1, 1),
        ("é\nx\né", 3, 1, 1),
    ],
)
def test_edges_and_empty_pieces_count(text: str, pieces: int, copies: int, characters: int) -> None:
    found = repeated_lines(arrow([text]))
    assert (found.pieces[0], found.repeats[0], found.characters[0]) == (pieces, copies, characters)


def test_a_single_newline_does_not_end_a_paragraph() -> None:
    found = repeated_paragraphs(arrow(["\n\na\nb\n\n\na\nb\n\na b\n"]))
    assert (found.pieces[0], found.repeats[0], found.characters[0]) == (3, 1, 3)


def test_documents_do_not_see_each_other() -> None:
    assert repeated_lines(arrow(["same", "same", "same\nsame"])).repeats.tolist() == [0, 0, 1]


@pytest.mark.parametrize("mark", ["...", "…", "#", "\r\n", "\u2028", "\x85", "\n\n", "•", "é"])
def test_marks_across_the_borders_of_blocks(mark: str) -> None:
    rows = ["x" * size + mark + "y" * 70 + mark for size in range(60, 67)]
    found = marks(arrow(rows))
    assert found.hashes.tolist() == [row.count("#") for row in rows]
    assert found.ellipses.tolist() == [row.count("...") + row.count("…") for row in rows]
    assert found.lines.tolist() == [len(row.splitlines()) for row in rows]
    assert text_lengths(arrow(rows)).tolist() == [len(row) for row in rows]
    assert repeated_paragraphs(arrow(rows)).pieces.tolist() == [
        len(re.split(r"\n{2,}", row.strip())) for row in rows
    ]


@pytest.mark.parametrize("indent", ["", " ", " " * 63, " " * 64, "\t" * 200, "\u3000 " * 30])
def test_bullets_behind_any_indentation(indent: str) -> None:
    rows = [indent + "- x", indent + "• x", indent + "x", indent, indent + "…"]
    assert marks(arrow(rows)).bullets.tolist() == [1, 1, 0, 0, 0]


def test_lines_that_differ_in_one_byte_do_not_repeat() -> None:
    for size in (1, 7, 8, 9, 16, 17, 33, 100):
        lines = ["a" * i + "b" + "a" * (size - i - 1) for i in range(size)]
        found = repeated_lines(arrow(["\n".join(lines), "\n".join(lines + lines)]))
        assert found.repeats.tolist() == [0, size]
        assert found.characters.tolist() == [0, size * size]
