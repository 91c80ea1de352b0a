"""Lines are counted and taken out as plain Python does it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import fasttext.FastText
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.pipeline.filters.gopher_repetition_filter import find_duplicates
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines.line_rules import EditRules, edit_lines, line_shapes

DCLM = EditRules(0.5, 0.999999, True, 2, 10)
NOTHING = EditRules(2.0, 2.0, False, -1, -1)

BITS = ["\n", "\n\n", "\r\n", " ", "\t", "\x85", "\u2028", "\u3000", "\x00", ".", "!", "é", "。"]
BITS += ["word ", "same line\n", "same line", "WORD ", "Ǆ", "ǅ", "ª", "12", "٣", "²", "½", "_", ","]
BUTTONS = [
    "items in cart",
    "Items İn cart",
    "ITEMſ ın Cart",
    "Read more...",
    "read more…",
    "Sign-in",
]
BUTTONS += ["ſıgn-İn ", "sign-in\u2003", " READ MORE >>>", "read moreabc", "\x1citems in cart"]
COUNTERS = [
    "3 likes",
    "1.2\u212a li\u212aes\n",
    "• 10,5M views!\n",
    "7\u1e31 shares",
    "5\u212a\u3000downvotes",
    "٣b Likes.",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from([*BITS, *BUTTONS, *COUNTERS]), max_size=24).map("".join),
)
rows_of_text = st.lists(texts, max_size=5)


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


@settings(max_examples=200)
@given(
    rows_of_text, st.sampled_from([("。", ".", "!"), ("line", "e", "\r"), ()]), st.integers(0, 9)
)
def test_lines_are_counted(rows: list[str], endings: tuple[str, ...], short: int) -> None:
    found = line_shapes(arrow(rows), endings, short)
    for i, row in enumerate(rows):
        lines = [line for line in row.split("\n") if line.strip()]
        assert found.lines[i] == len(lines)
        assert found.ended[i] == sum(line.endswith(endings) for line in lines)
        assert found.short[i] == sum(len(line) <= short for line in lines)
        assert found.repeated[i] == find_duplicates(lines)[1]
        assert found.characters[i] == len(row.replace("\n", ""))
        assert found.newlines[i] == row.count("\n")


def test_many_lines_of_which_few_repeat() -> None:
    lines = [f"line {i % 4_000}é" for i in range(5_000)]
    found = line_shapes(arrow(["\n".join(lines), "line 1é"]), (".",), 8)
    assert found.repeated.tolist() == [find_duplicates(lines)[1], 0]


def words(text: str) -> int:
    return sum(token[0].isalnum() for token in fasttext.FastText.tokenize(text))


COUNTED = (
    "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views"
)
COUNTER = re.compile(rf"^\W*\d[\d,.]*[kmb]?\s+(?:{COUNTED}|followers)\W*$")
ANYWHERE = re.compile(r"\s?items in cart", re.I)
AT_END = re.compile(r"\s?read more...$", re.I)
AT_START = re.compile(r"^sign-in\s?", re.I)


def edited(text: str, rules: EditRules) -> str:
    """The rules as they are described, one after the other."""

    def upper(line: str) -> bool:
        return sum(map(str.isupper, line)) / len(line) <= rules.most_upper

    def digits(line: str) -> bool:
        return sum(map(str.isdigit, line)) / len(line) <= rules.most_digits

    def no_counter(line: str) -> bool:
        return not (rules.counters and COUNTER.search(line.lower()))

    def long(line: str) -> bool:
        return len(line.split()) >= rules.min_words

    for keeps in (upper, digits, no_counter, long):
        text = "\n".join(line for line in text.split("\n") if not line or keeps(line))
        text = text if keeps is long else text.strip()
    for pattern in (ANYWHERE, AT_END, AT_START):
        left = []
        for line in text.split("\n"):
            if not line or len(line.split()) > rules.boilerplate_words:
                left.append(line)
            elif (rest := pattern.sub("", line)).strip():
                left.append(rest)
        text = "\n".join(left).strip()
    return text


@settings(max_examples=400)
@given(
    rows_of_text,
    st.builds(
        EditRules,
        st.sampled_from([0.0, 0.3, 0.5, 2.0]),
        st.sampled_from([0.0, 0.5, 0.999999, 2.0]),
        st.booleans(),
        st.integers(-1, 3),
        st.integers(-1, 4),
    ),
)
def test_lines_are_edited_as_described(rows: list[str], rules: EditRules) -> None:
    found = edit_lines(arrow(rows), rules)
    expected = [edited(row, rules) for row in rows]
    found.text.validate(full=True)
    assert found.text.to_pylist() == expected
    assert found.words.tolist() == [words(row) for row in rows]
    assert found.words_left.tolist() == [words(row) for row in expected]


def test_real_texts_are_edited_as_described(shared_data: Path) -> None:
    for name in ("wiki", "law", "dialog", "code_python"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"][:5_000] for _ in range(200)]
        found = edit_lines(arrow(rows), DCLM)
        expected = [edited(row, DCLM) for row in rows]
        assert found.text.to_pylist() == expected
        assert found.words.tolist() == [words(row) for row in rows]
        assert any(row.strip() != text for row, text in zip(rows, expected, strict=True))


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*BUTTONS, *COUNTERS, "\n", " ", "a b"]), max_size=5).map("".join))
def test_buttons_and_counters_are_found_as_regular_expressions_do(text: str) -> None:
    assert edit_lines(arrow([text]), DCLM).text.to_pylist() == [edited(text, DCLM)]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("THIS IS LOUD", ""),
        ("THIs is Fair", "THIs is Fair"),
        ("1234", ""),
        ("12 34", "12 34"),
        ("word", ""),
        ("two words", "two words"),
        ("3 likes", ""),
        ("★ 1,204.5K followers ★", ""),
        ("3 dislikes", "3 dislikes"),
        ("likes 3 likes", "likes 3 likes"),
        ("You have 3 items in cart now", "You have 3 now"),
        ("items in cart ITEMS IN CART", ""),
        ("The town council met. Read more...", "The town council met."),
        ("The town council met. Read more at", "The town council met."),
        ("The town council met. Read more now", "The town council met. Read more now"),
        ("The town council met. Read more >>", "The town council met."),
        ("Sign-in to the town council", "to the town council"),
        ("one two three four five six seven eight items in cart", "one two three four five six "
         "seven eight items in cart"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_line(line: str, left: str) -> None:
    text = f"This is a first line.\n{line}\nThis is a last line."
    middle = [left] if left else []
    expected = "\n".join(["This is a first line.", *middle, "This is a last line."])
    assert edit_lines(arrow([text]), DCLM).text.to_pylist() == [expected] == [edited(text, DCLM)]


def test_nothing_is_edited_but_white_space_around_when_nothing_is_asked() -> None:
    rows = [" \n 1\nLOUD\n\n3 likes\n \n Sign-in \n", "", "\x00", "é"]
    found = edit_lines(arrow(rows), NOTHING)
    assert found.text.to_pylist() == [row.strip() for row in rows]


def test_no_texts_have_no_lines() -> None:
    assert len(edit_lines(arrow([]), DCLM).text) == 0
    assert len(line_shapes(arrow([]), ("."), 30).lines) == 0


def test_rows_of_a_slice_are_its_own() -> None:
    rows = arrow(["one two\nthree", "LOUD WORDS\nsome quiet words", "x"])[1:]
    assert edit_lines(rows, DCLM).text.to_pylist() == ["some quiet words", ""]
    assert line_shapes(rows, ("s",), 10).ended.tolist() == [1, 0]
