"""FineWeb quality decides as datatrove does, for the same reason, on any text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter
from datatrove.utils.text import TERMINAL_PUNCTUATION, split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import filters.fineweb_quality
from filters.fineweb_quality import FineWebQuality
from kernels.words.words import english_words
from pipeline.documents import Docs
from winnow.testing import warm_up

PIECES = ["A sentence of more than thirty characters, it is.", "the words ", "same line.\n", "x.\n"]
PIECES += [
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\x85",
    "\u2028",
    " ",
    "\u3000",
    "。",
    "؟\n",
    "!",
    "é",
    "\x00",
]
PIECES += [
    "same long line of words without an end that repeats\n",
    "٪",
    "IS_ALPHA",
    "…",
    '"',
    "\x1c",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
)


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    split_into_words("IS_ALPHA")


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def ours(rows: list[str], **parameters: Any) -> list[str]:
    verdict = FineWebQuality(**parameters).filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


def theirs(rows: list[str], **parameters: Any) -> list[str]:
    judge = FineWebQualityFilter(**parameters)
    found = []
    for row in rows:
        try:
            verdict = judge.filter(Document(text=row, id=""))
        except ZeroDivisionError:
            verdict = (False, "empty")
        found.append("" if verdict is True else verdict[1])
    return found


@settings(max_examples=200)
@given(st.lists(texts, max_size=4))
def test_any_text_gets_the_verdict_of_datatrove(rows: list[str]) -> None:
    assert ours(rows) == theirs(rows)


@settings(max_examples=200)
@given(
    st.lists(texts, max_size=3),
    st.fixed_dictionaries(
        {
            "line_punct_thr": st.sampled_from([0, 0.12, 0.5, 1]),
            "line_punct_exclude_zero": st.booleans(),
            "stop_chars": st.sampled_from([None, (), (".",), ("end", "s\r", "。", "؟", "x.")]),
            "short_line_thr": st.sampled_from([0.3, 0.67, 1]),
            "short_line_length": st.sampled_from([0, 2, 30]),
            "char_duplicates_ratio": st.sampled_from([0, 0.01, 0.4, 1]),
            "new_line_ratio": st.sampled_from([0, 0.3, 2]),
        }
    ),
)
def test_any_parameters_give_the_verdict_of_datatrove(
    rows: list[str], parameters: dict[str, Any]
) -> None:
    assert ours(rows, **parameters) == theirs(rows, **parameters)


def test_real_texts_get_the_verdict_of_datatrove(shared_data: Path) -> None:
    reasons = set()
    for name in ("wiki", "law", "dialog", "code_python", "math"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"][:4_000] for _ in range(200)]
        expected = theirs(rows)
        assert ours(rows) == expected
        reasons |= set(expected)
    assert reasons >= {"", "line_punct_ratio", "short_line_ratio", "char_dup_ratio"}


PROSE = "The people of the town have to be with the others, and that is good.\n"
DIFFERENT = "".join(f"Number {i} of the people is with the others in the town.\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DIFFERENT, ""),
        ("", "empty"),
        (" \n\t\r\n\u3000", "empty"),
        ("word", "line_punct_ratio"),
        ("\x00", "line_punct_ratio"),
        ("IS_ALPHA\n.", "short_line_ratio"),
        (DIFFERENT.replace(".", " "), "line_punct_ratio"),
        (DIFFERENT.replace("\n", " \n"), "line_punct_ratio"),
        (DIFFERENT.replace(".\n", ".\r\n"), "line_punct_ratio"),
        ("Yes.\nNo.\nGood.\n" + PROSE, "short_line_ratio"),
        (PROSE * 2, "char_dup_ratio"),
        (DIFFERENT + "\n" * 60, "list_ratio"),
        ("שלום עולם טוב מאוד היום, כך אמרו כל האנשים.", ""),
        ("これは三十文字よりも長い文であり、句点で終わるものとして数えられるはずである。", ""),
    ],
)
def test_each_reason(text: str, reason: str) -> None:
    assert ours([text]) == [reason] == theirs([text])


def test_a_text_whose_only_word_is_deleted_is_empty() -> None:
    parameters: dict[str, Any] = {"line_punct_thr": 0, "short_line_thr": 1}
    assert ours(["IS_ALPHA", "IS_ALPHA\n\n", "word"], **parameters) == ["empty", "empty", ""]


def test_the_marks_are_those_of_datatrove() -> None:
    assert set(filters.fineweb_quality.TERMINAL_PUNCTUATION) == TERMINAL_PUNCTUATION


def test_documents_without_any_ended_line_can_be_spared() -> None:
    rows = [DIFFERENT.replace(".", " "), (DIFFERENT.replace(".", " ") + "x" * 40 + ".")]
    assert ours(rows) == ["line_punct_ratio"] * 2
    assert ours(rows, line_punct_exclude_zero=True) == ["", "line_punct_ratio"]


def test_everything_is_measured_of_every_document() -> None:
    measured = FineWebQuality().measure(docs_of([DIFFERENT, "One.\n\nOne.\nOne two", ""]))
    signals = {name: np.asarray(values) for name, values in measured.items()}
    assert signals["lines"].tolist() == [9, 3, 0]
    assert signals["line_punct_ratio"][:2].tolist() == pytest.approx([1, 2 / 3])
    assert signals["short_line_ratio"][:2].tolist() == [0, 1]
    assert signals["char_dup_ratio"][:2].tolist() == pytest.approx([0, 4 / 15])
    assert signals["words"].tolist() == [9 * 13, 6, 0]
    assert signals["list_ratio"][:2].tolist() == pytest.approx([9 / (9 * 13), 3 / 6])
    shares = signals.keys() - {"lines", "words"}
    assert all(np.isnan(signals[name][2]) for name in shares)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=5), st.sampled_from([0, 0.1, 0.3, 0.5, 1.0]))
def test_words_are_counted_where_the_verdict_depends_on_them(
    rows: list[str], new_line_ratio: float
) -> None:
    """And the verdict is the one that counting all would give."""
    off = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1}
    step = FineWebQuality(new_line_ratio=new_line_ratio, **off)
    docs = docs_of(rows)
    measured, judged = step.measure(docs), step.filter(docs)
    assert judged.keep.tolist() == step.apply(measured).keep.tolist()
    assert judged.reason == step.apply(measured).reason
    counted = ~np.isnan(np.asarray(judged.signals["words"], dtype=float))
    for name in ("words", "list_ratio"):
        found = np.asarray(judged.signals[name], dtype=float)[counted]
        np.testing.assert_array_equal(found, np.asarray(measured[name])[counted])
    assert counted[[r in ("list_ratio",) for r in judged.reason]].all()


def test_words_found_once_serve_the_documents_that_are_left() -> None:
    docs = docs_of(["short", DIFFERENT])
    words = docs.derive("words:en", english_words)
    left = docs.filter(FineWebQuality().filter(docs).keep)
    assert FineWebQuality().filter(left).keep.tolist() == [True]
    assert left.derive("words:en", english_words).table is words.table


def test_one_huge_line_has_a_verdict() -> None:
    assert ours(["x" * 1_000_000]) == ["line_punct_ratio"]


def test_no_documents_give_no_verdicts() -> None:
    warm_up([FineWebQuality()])
    assert ours([]) == []


@pytest.mark.parametrize("wrong", [{"line_punct_thr": -1}, {"stop_chars": ("",)}, {"unknown": 1}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FineWebQuality(**wrong)
