"""C4's rule on paragraphs decides as datatrove does, on any text."""

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
from datatrove.pipeline.filters import C4ParagraphFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.c4_paragraphs import C4Paragraphs
from pipeline.documents import Docs
from winnow.testing import warm_up

LONG = "é" * 200
lines = st.sampled_from(
    [LONG, "x" * 199, " " * 200, "", "\r", f"{LONG}\x85", "\u2028" * 201, "short"]
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.lists(lines, max_size=7).map("\n".join)
)


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def ours(rows: list[str], **parameters: Any) -> list[str]:
    verdict = C4Paragraphs(**parameters).filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


def theirs(rows: list[str], length: int = 200) -> list[str]:
    judge = C4ParagraphFilter()
    judge.min_paragraph_len = length
    verdicts = [judge.filter(Document(text=row, id="")) for row in rows]
    return ["" if verdict is True else verdict[1] for verdict in verdicts]


@settings(max_examples=200)
@given(st.lists(texts, max_size=4), st.sampled_from([0, 1, 5, 200]))
def test_any_text_gets_the_verdict_of_datatrove(rows: list[str], length: int) -> None:
    assert ours(rows, min_paragraph_len=length) == theirs(rows, length)


def test_real_texts_get_the_verdict_of_datatrove(shared_data: Path) -> None:
    reasons = set()
    for name in ("wiki", "law", "dialog", "code_python"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"] for _ in range(200)]
        expected = theirs(rows)
        assert ours(rows) == expected
        reasons |= set(expected)
    assert reasons == {"", "< 3 paragraphs"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "< 3 paragraphs"),
        ("\x00", "< 3 paragraphs"),
        (f"{LONG}\n{LONG}", "< 3 paragraphs"),
        (f"{LONG}\n{LONG}\n{LONG}", ""),
        (f"\n{LONG}\nshort\n{LONG}\n{LONG}\n", ""),
        (f"{LONG}\r{LONG}\r{LONG}", "< 3 paragraphs"),
        (f"{LONG}\n{LONG}\n{LONG[1:]}", "< 3 paragraphs"),
        (f"{LONG}\n{LONG}\n{' ' * 200}", ""),
    ],
)
def test_three_long_lines_are_needed(text: str, reason: str) -> None:
    assert ours([text]) == [reason] == theirs([text])


def test_as_many_lines_are_needed_as_asked_for() -> None:
    rows = ["\n".join([LONG] * n) for n in range(1, 6)]
    assert ours(rows, min_paragraphs=4) == ["< 4 paragraphs"] * 3 + ["", ""]
    assert ours(rows, min_paragraphs=1) == [""] * 5
    assert ours([*rows, ""], min_paragraphs=0) == [""] * 6


def test_long_lines_are_the_signal() -> None:
    verdict = C4Paragraphs().filter(docs_of([f"{LONG}\nx\n{LONG}", "", LONG]))
    assert np.asarray(verdict.signals["paragraphs"]).tolist() == [2, 0, 1]


def test_no_documents_give_no_verdicts() -> None:
    warm_up([C4Paragraphs()])
    assert ours([]) == []


@pytest.mark.parametrize("wrong", [{"min_paragraphs": -1}, {"min_paragraph_len": -1}, {"x": 1}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        C4Paragraphs(**wrong)
