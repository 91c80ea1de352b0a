"""What is not suspect, ftfy does not change; ordinary text mostly is not."""

from __future__ import annotations

import re

import ftfy
import numpy as np
import pyarrow as pa
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines.suspect_lines import PLAIN, SUSPECT, SUSPECT_BEFORE_MARKUP, suspect_lines

OFF = {"fix_latin_ligatures": False, "fix_character_width": False, "uncurl_quotes": False}
CONFIG = ftfy.TextFixerConfig(explain=False, normalization=None, fix_line_breaks=False, **OFF)


def arrow(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


def lines(text: str, ampersand: int = PLAIN, **options: bool) -> list[tuple[str, bool]]:
    """(line, whether "<" came before) of every suspect line."""
    options = {"breaks": False, "beyond_ascii": False, **options}
    found = suspect_lines(arrow([text]), ampersand, **options)
    raw = found.data.tobytes()
    return [
        (raw[a:b].decode(), bool(m))
        for a, b, m in zip(found.starts, found.ends, found.markup, strict=True)
    ]


def mojibake() -> list[str]:
    """Every character that ftfy's badness looks for, and some that it does not."""
    inside = re.compile("[" + "".join(MOJIBAKE_CATEGORIES.values()) + "]")
    known = [c for c in map(chr, range(0x80, 0x10000)) if inside.match(c)]
    return sorted({*known, *"±∂†≠®™´≤≥¥µøìîïòôúùûπàäÂŒœ\u2028\ufeff中א\U0001f600"})


def test_no_pair_of_characters_that_looks_bad_is_passed_over() -> None:
    chars = mojibake()
    rows = [f"a{a}{b} x" for a in chars for b in chars]
    rows += [text for a in chars for text in (f"a {a} x", f"A{a}b{a}", f"{a} ", f". {a}a")]
    found = suspect_lines(arrow(rows), SUSPECT, breaks=False, beyond_ascii=False)
    passed = np.flatnonzero(np.diff(found.first) == 0).tolist()
    assert [rows[i] for i in passed if is_bad(rows[i])] == []
    assert len(passed) > len(rows) // 10


pieces = st.sampled_from([*mojibake(), *"ab .<&;\n\t\r" * 20, "&amp;", "&eacute;"])
texts = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=25).map("".join))


@settings(max_examples=300)
@given(texts)
def test_a_text_without_suspect_lines_is_not_changed(text: str) -> None:
    if not lines(text, SUSPECT_BEFORE_MARKUP):
        assert ftfy.fix_text(text, CONFIG) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain\ttext\r\n",
        "“quotes” – and a café, …",
        "Ελληνικά, русский",
        "中文字",
        "עברית",
        "naïve",
    ],
)
def test_ordinary_text_is_plain(text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize("text", ["âœ”", "\x00", "\x1b[1m", "\x85", "Â ", "\ufeffx", "Ã©", "œ "])
def test_what_looks_wrong_is_suspect(text: str) -> None:
    assert lines(f"fine\n{text}\nfine") == [(f"{text}\n", False)]


def test_entities_are_suspect_until_markup() -> None:
    text = "a&b\n<i>&\n&\n"
    assert lines(text) == []
    assert lines(text, SUSPECT) == [("a&b\n", False), ("<i>&\n", False), ("&\n", True)]
    assert lines(text, SUSPECT_BEFORE_MARKUP) == [("a&b\n", False), ("<i>&\n", False)]


def test_options_make_more_suspect() -> None:
    assert lines("é\nx", beyond_ascii=True) == [("é\n", False)]
    assert lines("a\rb\nc\u2028d\ne", breaks=True) == [("a\rb\n", False), ("c\u2028d\n", False)]


def test_rows_are_told_apart() -> None:
    rows = arrow(["skipped\x00", "<\n\x00", "", "\x00\n\x01"]).slice(1)
    found = suspect_lines(rows, PLAIN, breaks=False, beyond_ascii=False)
    assert found.first.tolist() == [0, 1, 1, 3]
    assert found.markup.tolist() == [True, False, False]
