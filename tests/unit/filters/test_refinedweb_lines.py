"""RefinedWeb's corrections of lines: what they leave, and which documents they drop.

Each rule is compared with plain Python in tests/unit/kernels/test_line_rules.py.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.refinedweb_lines import RefinedWebLines
from pipeline.documents import Docs
from pipeline.step import FilterResult
from winnow.testing import warm_up

PROSE = "The council of the town met on Monday to speak about the bridge over the river again.\n"
LONG = PROSE * 10
REMOVED = "word_removal_ratio_filter"


def judged(rows: list[str], **parameters: Any) -> FilterResult:
    docs = Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))
    return RefinedWebLines(**parameters).filter(docs)


def reasons(verdict: FilterResult) -> list[str]:
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


@pytest.mark.parametrize(
    ("text", "reason", "left"),
    [
        (LONG, "", LONG.strip()),
        (f"{LONG}SUBSCRIBE NOW\n12\n3 likes\nHome\n", "", LONG.strip()),
        (f"{LONG}\n\nSign-in to read more of it", "", f"{LONG}\n\nto read more of it"),
        (f"{LONG}Many more words here. Read more...", "", f"{LONG}Many more words here."),
        (f"{PROSE}THIS IS A LOUD LINE", REMOVED, None),
        ("word", REMOVED, None),
        ("3 likes", REMOVED, None),
        ("", "empty", None),
        (" \n\t\u3000\n", "empty", None),
        ("!!! ???\n...", "empty", None),
        ("\x00" * 9, "empty", None),
        ("שלום עולם טוב\nמאוד היום", "", "שלום עולם טוב\nמאוד היום"),
        ("e\u0301 e\u0301\x00 e\u0301", "", "e\u0301 e\u0301\x00 e\u0301"),
    ],
)
def test_lines_are_taken_out_and_documents_dropped(
    text: str, reason: str, left: str | None
) -> None:
    verdict = judged([text])
    assert reasons(verdict) == [reason]
    if left is not None:
        assert verdict.text is not None
        assert verdict.text.to_pylist() == [left]


def test_twenty_words_may_lose_one() -> None:
    twenty = " ".join(["word"] * 19) + " .\n"
    assert reasons(judged([twenty + "Home", twenty + "Home\nHome"])) == ["", REMOVED]


def test_the_share_of_words_removed_can_be_set() -> None:
    rows = [f"{PROSE}THIS IS A LOUD LINE", "ALL LOUD"]
    assert reasons(judged(rows, max_removed_ratio=0.3)) == ["", REMOVED]
    assert reasons(judged(rows, max_removed_ratio=1)) == ["", "empty"]


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ("THIS IS LOUD", {"max_uppercase_ratio": None}),
        ("1234", {"max_numeric_ratio": None, "min_line_length": 0}),
        ("3 likes", {"counter_lines": False}),
        ("Home", {"min_line_length": 1}),
        ("2 items in cart", {"substring_max_length": None}),
        ("2 items in cart", {"substring_max_length": 3}),
    ],
)
def test_every_rule_can_be_switched_off(line: str, off: dict[str, Any]) -> None:
    rows = [f"{LONG}{line}"]
    assert judged(rows).text.to_pylist() != rows  # type: ignore[union-attr]
    assert judged(rows, **off).text.to_pylist() == rows  # type: ignore[union-attr]


def test_signals_are_measured_for_kept_and_dropped_documents() -> None:
    step = RefinedWebLines()
    docs = Docs(pa.record_batch({"text": pa.array(["a b\nHOME", "", "LOUD"], pa.large_string())}))
    measured = step.measure(docs)
    signals = {name: np.asarray(values) for name, values in measured.items()}
    assert signals["words"].tolist() == [3, 0, 1]
    assert signals["removed_ratio"][[0, 2]].tolist() == pytest.approx([1 / 3, 1])
    assert np.isnan(signals["removed_ratio"][1])
    assert signals["bytes_left"].tolist() == [3, 0, 0]
    assert step.apply(measured).keep.tolist() == step.filter(docs).keep.tolist()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_has_a_verdict_and_editing_again_changes_nothing_more(rows: list[str]) -> None:
    verdict = judged(rows, max_removed_ratio=1)
    assert verdict.text is not None
    kept = [text for text, keep in zip(verdict.text.to_pylist(), verdict.keep, strict=True) if keep]
    assert all(text == text.strip() and text for text in kept)
    again = judged(kept).text
    assert again is not None
    assert again.to_pylist() == kept


def test_most_real_prose_is_kept_and_less_of_code(shared_data: Path) -> None:
    kept = {}
    for name in ("wiki", "books", "code_python"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"] for _ in range(100)]
        kept[name] = int(judged(rows).keep.sum())
    assert kept["wiki"] > 80
    assert kept["books"] > 80
    assert kept["code_python"] < min(kept["wiki"], kept["books"])


def test_no_documents_give_no_verdicts() -> None:
    warm_up([RefinedWebLines()])
    assert reasons(judged([])) == []


@pytest.mark.parametrize(
    "wrong", [{"max_uppercase_ratio": -1}, {"min_line_length": -1}, {"unknown": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RefinedWebLines(**wrong)
