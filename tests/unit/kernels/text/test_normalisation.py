from __future__ import annotations

import sys
import unicodedata
from functools import cache
from typing import Any

import orjson
import pyarrow as pa
import pytest
import regex
from datatrove.utils.text import simplify_text
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.text.normalisation import normalise, normalise_one

# Beside any text: what the rules treat in a way of their own, next to each other.
SPECIAL = st.text(
    st.sampled_from(
        "aZßİΣσς 019٣३.,،٫⎖⎗⎘-_'\"«…。\t\n\r\x00\x1c\x7f\x85\xa0\u2028\u3000\u0301\u0345\u302e"
        "éÅ가힣豈\u1fef\u037eǅⒶ𝟘\U00016130\U0001d15e\u200b\ufeff\u00adＡ１．ｶﾞﬁ𝚺ﷺ"
    ),
    max_size=40,
)


FORMS = {
    *("<compat>", "<font>", "<small>", "<vertical>", "<narrow>", "<wide>"),
    *("<initial>", "<medial>", "<final>", "<isolated>"),
}


def plain(text: str) -> str:
    """``text`` without format characters and forms of characters, as normalise defines them."""
    return "".join(map(plain_form, text))


@cache
def plain_form(char: str) -> str:
    if unicodedata.category(char) == "Cf":
        return ""
    tag = unicodedata.decomposition(char).split(" ")[0]
    if tag not in FORMS or regex.fullmatch(r"\p{Nd}", char):
        return char
    codes = unicodedata.decomposition(char).split(" ")[1:]
    form = "".join(plain_form(chr(int(code, 16))) for code in codes)
    return form if len(form) == 1 or form.isalpha() else char


def normalised(*texts: str) -> list[str]:
    result: list[str] = normalise(pa.array(texts, pa.large_string())).to_pylist()
    return result


@given(st.lists(st.one_of(st.text(max_size=60), SPECIAL), max_size=6))
@settings(max_examples=200, deadline=None)
@example(["1.2.3 4,5 1..2 1.", ".5", "٣٫٤⎖5"])
@example(["ΑΣ", "ΑΣ.", "Σ", "ΑΣ\u0301Β"])
@example(["a \u0301 b", "\u0301", "\u0301 a", "a \u0301", "a\u302e\u0301b"])
@example(["1\u200b2", "1\u200b.\u200b5", "1.\u200bx", "１，\u00ad２．３", "3\u20245 3\ufe505"])
@example(["\u200b", "a \u200b b", "\u200b a", "a\ufeff \u200b"])
@example(["𝚨𝚺", "ΑΣ\u00ad", "ﬁﬂ Ⅷ ⑴ ½ ² …", "ﷺ ﻼ"])
@example(["", " ", "--", "\x00"])
def test_equals_datatrove_on_the_plain_form_of_any_text(texts: list[str]) -> None:
    expected = [simplify_text(plain(text)) for text in texts]
    assert normalised(*texts) == expected
    assert [normalise_one(text) for text in texts] == expected


def test_equals_datatrove_on_the_plain_form_of_every_character() -> None:
    # Of ideographs and syllables, which are all alike, every 97th will do.
    digits = set(regex.findall(r"\p{Nd}", "".join(map(chr, range(sys.maxunicode + 1)))))
    chars = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if (unicodedata.category(char) not in ("Cn", "Co", "Cs") or char in digits)
        and (
            ord(char) % 97 == 0 or not unicodedata.name(char, "").startswith(("CJK U", "HANGUL S"))
        )
    ]
    texts = [f"x{char}1.{char}Y {char}" for char in chars]
    for char, ours, text in zip(chars, normalised(*texts), texts, strict=True):
        assert ours == simplify_text(plain(text)), hex(ord(char))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Café,\n No. 12.50!", "the cafe no 0"),
        ("1.2.3", "0 0"),
        ("state-of-the-art", "state of the art"),
        ("ŁÓDŹ Übermut", "łodz ubermut"),
        ("zero\u200bwidth so\u00adft", "zerowidth soft"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ，　２０２６！", "full width 0"),
        ("ﾊﾝｶｸ", "ハンカク"),
        ("ﬁne 𝓼𝓬𝓻𝓲𝓹𝓽", "fine script"),
    ],
)
def test_what_it_makes_of_ordinary_text(text: str, expected: str) -> None:
    assert normalised(text) == [expected]


def test_rows_of_a_slice_and_of_nothing() -> None:
    rows = pa.array(["One", "Twö", "ΣΑΣ", "", "FIVE 5"], pa.large_string())
    assert normalise(rows[1:4]).to_pylist() == ["two", "σας", ""]
    assert normalise(rows[:0]).to_pylist() == []
    assert normalise(rows).type == pa.large_string()


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        normalise(pa.array(["a", None], pa.large_string()))


@pytest.mark.parametrize("name", ["domains/wiki", "domains/math", "truth/languages"])
def test_equals_datatrove_on_real_text(shared_data: Any, name: str) -> None:
    path = shared_data / f"{name}.jsonl.zst"
    lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
    texts = [orjson.loads(line)["text"] for line in lines[::7]]
    assert normalised(*texts) == [simplify_text(plain(text)) for text in texts]


def with_digits(*texts: str) -> list[str]:
    result: list[str] = normalise(pa.array(texts, pa.large_string()), keep_digits=True).to_pylist()
    return result


@given(st.lists(st.one_of(st.text(max_size=60), SPECIAL), max_size=6))
@settings(max_examples=100, deadline=None)
@example(["1.2.3 4,5 1..2 1.", "٣٫٤⎖5", "𝟘Σ1", "x२y", "１１２"])
def test_digits_are_kept_on_request_and_nothing_else_changes(texts: list[str]) -> None:
    found = with_digits(*texts)
    assert found == [normalise_one(text, keep_digits=True) for text in texts]
    letters = str.maketrans("", "", "0123456789 ،٫⎖⎗⎘")  # and what parts decimals from the whole
    plain = [text.translate(letters) for text in normalised(*texts)]
    assert [text.translate(letters) for text in found] == plain


def test_numbers_that_differ_stay_apart() -> None:
    assert with_digits("Costs 3.50, not ١٢!", "1,000 m²") == ["costs 3 50 not 12", "1 000 m²"]
    assert normalised("Costs 3.50, not ١٢!") == ["costs 0 not 0"]
