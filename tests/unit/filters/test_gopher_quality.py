"""Gopher quality decides as datatrove does, for the same reason, on any text."""

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
from datatrove.pipeline.filters import GopherQualityFilter
from datatrove.utils.text import split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.gopher_quality import GopherQuality
from kernels.words.words import english_words
from pipeline.documents import Docs
from winnow.testing import warm_up

# Rules on counts are out of the way, so that short texts reach the others.
SMALL: dict[str, Any] = {"min_doc_words": 2, "max_doc_words": 60, "min_avg_word_length": 2}

PIECES = ["the ", "of ", "and ", "to\n", "word ", "extraordinarily ", "12 ", "# ", "... ", "…\n"]
PIECES += ["- x\n", "• y\r\n", "!\u2028", "\x1c", "\u3000", "f(x): ", "don't ", "שלום ", "e\u0301 "]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
)


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    split_into_words("IS_ALPHA")


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def ours(step: GopherQuality, rows: list[str]) -> list[str]:
    verdict = step.filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


def theirs(rows: list[str], **parameters: Any) -> list[str]:
    judge = GopherQualityFilter(**parameters)
    found = []
    for row in rows:
        try:
            verdict = judge.filter(Document(text=row, id=""))
        except ZeroDivisionError:
            verdict = (False, "empty")
        found.append("" if verdict is True else verdict[1])
    return found


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, max_size=4))
def test_any_text_gets_the_verdict_of_datatrove(rows: list[str]) -> None:
    assert ours(GopherQuality(), rows) == theirs(rows)
    assert ours(GopherQuality(**SMALL), rows) == theirs(rows, **SMALL)


@pytest.mark.filterwarnings("ignore:.*(empty slice|invalid value).*:RuntimeWarning")
@settings(deadline=None, max_examples=100)
@given(
    st.lists(texts, max_size=3),
    st.fixed_dictionaries(
        {
            "min_doc_words": st.sampled_from([None, 0, 3]),
            "max_doc_words": st.sampled_from([None, 0, 8]),
            "min_avg_word_length": st.sampled_from([None, 0, 2]),
            "max_avg_word_length": st.sampled_from([None, 0, 4]),
            "max_symbol_word_ratio": st.sampled_from([None, 0, 0.2]),
            "max_bullet_lines_ratio": st.sampled_from([None, 0, 0.5]),
            "max_ellipsis_lines_ratio": st.sampled_from([None, 0, 0.5]),
            "max_non_alpha_words_ratio": st.sampled_from([None, 0, 0.9]),
            "min_stop_words": st.sampled_from([None, 0, 1]),
        }
    ),
)
def test_every_rule_can_be_switched_off(rows: list[str], parameters: dict[str, Any]) -> None:
    assert ours(GopherQuality(**parameters), rows) == theirs(rows, **parameters)


def test_real_texts_get_the_verdict_of_datatrove(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:20_000] for _ in range(6)]
        assert ours(GopherQuality(), rows) == theirs(rows)


PROSE = "The people of the town have to be with the others and that is good. " * 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, ""),
        ("", "gopher_short_doc"),
        (" \n\t ", "gopher_short_doc"),
        ("word", "gopher_short_doc"),
        ("Hello wonderful world", "gopher_short_doc"),
        ("\x00" * 100, "gopher_short_doc"),
        ("word " * 100_001, "gopher_long_doc"),
        ("a " * 60, "gopher_below_avg_threshold"),
        ("x" * 5_000 + " " + PROSE, "gopher_above_avg_threshold"),
        (PROSE + " # #" * 10, "gopher_too_many_hashes"),
        (PROSE + " ……" * 10, "gopher_too_many_ellipsis"),
        ("\r\n".join(f" • {i}word and the other" for i in range(30)), "gopher_too_many_bullets"),
        ("\n".join(["the people of this town went home..."] * 9), "gopher_too_many_ellipsis"),
        (
            "\n".join(["there were many people of this town who went home again … "] * 9),
            "gopher_too_many_end_ellipsis",
        ),
        ("the of " + "12345 " * 60, "gopher_below_alpha_threshold"),
        ("שלום עולם טוב מאוד " * 20, "gopher_enough_stop_words"),
        ("the the the people " * 20, "gopher_enough_stop_words"),
    ],
)
def test_each_reason(text: str, reason: str) -> None:
    assert ours(GopherQuality(), [text]) == [reason] == theirs([text])


def test_documents_without_words_are_empty_when_length_is_not_judged() -> None:
    step = GopherQuality(min_doc_words=None)
    assert ours(step, ["", "  \n ", PROSE]) == ["empty", "empty", ""]


def test_stop_words_can_be_given() -> None:
    text = "le chat et la souris " * 20
    assert ours(GopherQuality(stop_words=("le", "et")), [text]) == [""]
    assert ours(GopherQuality(stop_words=("le", "und")), [text]) == ["gopher_enough_stop_words"]


def test_signals_are_measured_for_kept_and_dropped_documents() -> None:
    verdict = GopherQuality().filter(docs_of([PROSE, "# one two...\n- three 4\n", ""]))
    assert verdict.keep.tolist() == [True, False, False]
    signals = {name: np.asarray(values) for name, values in verdict.signals.items()}
    assert signals["non_symbol_words"].tolist() == [75, 4, 0]
    assert signals["stop_words"].tolist() == [8, 0, 0]
    assert signals["hash_ratio"][1] == pytest.approx(1 / 7)
    assert signals["ellipsis_lines_ratio"][1] == 0.5
    assert signals["bullet_lines_ratio"][1] == 0.5
    assert signals["alpha_words_ratio"][1] == pytest.approx(3 / 7)
    assert np.isnan(signals["mean_word_length"][2])
    assert all(len(values) == 3 for values in signals.values())


def test_words_found_once_serve_the_documents_that_are_left() -> None:
    docs = docs_of(["short", PROSE, "# " * 60, PROSE + "More."])
    words = docs.derive("words:en", english_words)
    left = docs.filter(GopherQuality(min_doc_words=5).filter(docs).keep)
    assert len(left) == 2
    assert GopherQuality().filter(left).keep.tolist() == [True, True]
    assert left.derive("words:en", english_words).table is words.table


def test_no_documents_give_no_verdicts() -> None:
    verdict = GopherQuality().filter(docs_of([]))
    assert verdict.keep.tolist() == []
    assert list(verdict.reason) == []


def test_preparing_changes_no_verdict() -> None:
    step = GopherQuality()
    before = ours(step, [PROSE, "short"])
    warm_up([step])
    assert ours(step, [PROSE, "short"]) == before


@pytest.mark.parametrize("wrong", [{"min_doc_words": -1}, {"unknown": 1}, {"min_stop_words": "x"}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GopherQuality(**wrong)
