"""Gopher repetition decides as datatrove does, for the same reason, on any text."""

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
from datatrove.pipeline.filters import GopherRepetitionFilter
from datatrove.utils.text import split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.gopher_repetition import GopherRepetition
from kernels.words.words import english_words
from pipeline.documents import Docs
from winnow.testing import warm_up

PIECES = ["ab ", "c ", "a ", "bc ", "the ", "long ", "é ", "😀 ", "\n", "\n\n", "\r\n", "\u2029"]
PIECES += ["same line\n", "same paragraph of words\n\n", "f(x): - ( ", "don't ", "\x00", "\u3000"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
)

# Everything but the rules on n-grams is off, so that short texts reach them.
NGRAMS: dict[str, Any] = {
    "dup_line_frac": None,
    "dup_para_frac": 0,
    "dup_line_char_frac": None,
    "dup_para_char_frac": 0,
}


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    split_into_words("IS_ALPHA")


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def ours(step: GopherRepetition, rows: list[str]) -> list[str]:
    verdict = step.filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


def theirs(rows: list[str], **parameters: Any) -> list[str]:
    judge = GopherRepetitionFilter(**parameters)
    verdicts = [judge.filter(Document(text=row, id="")) for row in rows]
    return ["" if verdict is True else verdict[1] for verdict in verdicts]


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, max_size=4))
def test_any_text_gets_the_verdict_of_datatrove(rows: list[str]) -> None:
    assert ours(GopherRepetition(), rows) == theirs(rows)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(texts, max_size=3),
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0, 0.3, 0.6])), max_size=2),
    st.lists(st.tuples(st.integers(1, 10), st.sampled_from([0, 0.05, 0.3])), max_size=3),
)
def test_any_ngram_limits_give_the_verdict_of_datatrove(
    rows: list[str], top: list[tuple[int, float]], repeated: list[tuple[int, float]]
) -> None:
    limits: dict[str, Any] = {"top_n_grams": tuple(top), "dup_n_grams": tuple(repeated)}
    step = GopherRepetition(**NGRAMS, **limits)
    assert ours(step, rows) == theirs(rows, **NGRAMS, **limits)


def test_real_texts_get_the_verdict_of_datatrove(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:20_000] for _ in range(6)]
        assert ours(GopherRepetition(), rows) == theirs(rows)


DISTINCT = " ".join(f"word{i}" for i in range(100))
COPIED = "x" * 200
PHRASE = "one two three four five six seven eight nine ten "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (DISTINCT, ""),
        ("word", ""),
        (" \n\t ", ""),
        ("\n", "dup_line_frac"),
        ("\n\n\n\n", "dup_line_frac"),
        ("Hello wonderful world", "top_2_gram"),
        ("a b\n\na b\n\na b", "dup_para_frac"),
        (
            DISTINCT + "\n\n" + "\n\n".join([*"bc", COPIED, *"de", COPIED, COPIED]),
            "dup_para_char_frac",
        ),
        ("a b\na b\na b\r\n", "dup_line_char_frac"),
        (
            DISTINCT + "\n" + "\n".join([*"bc", COPIED, *"de", COPIED, COPIED]),
            "dup_line_char_frac",
        ),
        (DISTINCT + " the the" * 60, "top_2_gram"),
        (DISTINCT + " of all sorts" * 20, "top_3_gram"),
        (PHRASE * 6 + DISTINCT, "duplicated_5_n_grams"),
        ("ש" * 50 + " " + DISTINCT, ""),
    ],
)
def test_each_kind_of_text(text: str, reason: str) -> None:
    assert ours(GopherRepetition(), [text]) == [reason] == theirs([text])


def test_a_limit_of_zero_switches_off_lines_but_not_ngrams() -> None:
    step = GopherRepetition(**NGRAMS, top_n_grams=(), dup_n_grams=((1, 0),))
    assert ours(step, ["a\na\na", "a\nb"]) == ["duplicated_1_n_grams", ""]


def test_ngram_signals_are_there_where_they_decide_or_lead_to_a_decision() -> None:
    verdict = GopherRepetition().filter(
        docs_of([DISTINCT, "a b\na b\na b", "Hello wonderful world", PHRASE * 6 + DISTINCT])
    )
    signals = {name: np.asarray(values) for name, values in verdict.signals.items()}
    assert verdict.keep.tolist() == [True, False, False, False]
    assert signals["dup_line_frac"].tolist() == pytest.approx([0, 2 / 3, 0, 0])
    # Settled by a bound; dropped before; decided; measured because of what came after.
    assert np.isnan(signals["top_2_gram"]).tolist() == [True, True, False, False]
    assert np.isnan(signals["top_3_gram"]).tolist() == [True, True, True, False]
    assert np.isnan(signals["duplicated_5_n_grams"]).tolist() == [True, True, True, False]
    assert np.isnan(signals["duplicated_6_n_grams"]).all()
    assert signals["top_2_gram"][2] == pytest.approx(15 / 21)
    assert len(signals) == 5 + 3 + 6
    assert all(len(values) == 4 for values in signals.values())


def assert_judged_as_measured(step: GopherRepetition, docs: Docs) -> None:
    """What judging leaves out is measured of no dropped document, and decides nothing."""
    judged, measured = step.filter(docs), step.measure(docs)
    whole = step.apply(measured)
    assert judged.keep.tolist() == whole.keep.tolist()
    assert list(judged.reason) == list(whole.reason)
    assert list(judged.signals) == list(whole.signals)
    reasons = [rule.reason for rule in step.rules()]
    for row in range(len(docs)):
        until = len(reasons) if judged.keep[row] else reasons.index(judged.reason[row]) + 1
        for rule in step.rules():
            mine, exact = judged.signals[rule.signal][row], measured[rule.signal][row]
            decided = not judged.keep[row] and reasons.index(rule.reason) < until
            assert mine == exact or (not decided and np.isnan(mine)) or np.isnan(exact)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=120).map("".join), max_size=4),
    st.sampled_from([{}, NGRAMS, {**NGRAMS, "top_n_grams": ((3, 0.3), (1, 0.5), (3, 0.2))}]),
)
def test_judging_says_what_measuring_everything_would(
    rows: list[str], parameters: dict[str, Any]
) -> None:
    assert_judged_as_measured(GopherRepetition(**parameters), docs_of(rows))


def test_judging_real_texts_says_what_measuring_everything_would(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"] for _ in range(30)]
        assert_judged_as_measured(GopherRepetition(), docs_of(rows))


def test_words_follow_the_documents_that_are_left() -> None:
    docs = docs_of(["a b\na b\na b", DISTINCT, "", DISTINCT + " more"])
    words = docs.derive("words:en", english_words)
    left = docs.filter(GopherRepetition(top_n_grams=()).filter(docs).keep)
    assert len(left) == 2
    assert GopherRepetition().filter(left).keep.tolist() == [True, True]
    assert len(left.derive("words:en", english_words).ids) == 201
    assert left.derive("words:en", english_words).table is words.table


def test_no_documents_give_no_verdicts() -> None:
    verdict = GopherRepetition().filter(docs_of([]))
    assert verdict.keep.tolist() == []
    assert list(verdict.reason) == []


def test_preparing_changes_no_verdict() -> None:
    step = GopherRepetition()
    before = ours(step, [DISTINCT, "Hello wonderful world"])
    warm_up([step])
    assert ours(step, [DISTINCT, "Hello wonderful world"]) == before


@pytest.mark.parametrize(
    "wrong", [{"top_n_grams": ((0, 0.2),)}, {"dup_line_frac": -0.1}, {"unknown": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GopherRepetition(**wrong)
