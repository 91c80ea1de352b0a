"""C4 quality decides and edits as datatrove does, for the same reason, on any text."""

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
from datatrove.pipeline.filters import C4QualityFilter
from datatrove.utils.text import split_into_words
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.c4_quality import C4Quality
from pipeline.documents import Docs
from winnow.testing import warm_up

PIECES = [
    "A line of words. ",
    "One more! ",
    "end.",
    "three of us ",
    "x",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
]
PIECES += [
    "\x0b",
    "\x1c",
    "\x1f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u3000",
    " ",
    "\t",
    ".",
    "...",
    "?",
    '"',
]
PIECES += ["[1]", "[", "]", "[٣²]", "[٣4]", "[edit]", "[Edit]", "[citation needed]", "[[1]]", "[]"]
PIECES += [
    "lorem ipsum",
    "Lorem\xa0Ipsum",
    "LOREM IP[2]SUM",
    "JavaScript ",
    "jaVASCR\u0130PT",
    "java[1]script",
]
PIECES += [
    "java\u017fcript",
    "{",
    "[1]{",
    "Terms of Use ",
    "privacy policy",
    "Cookie Policy",
    "uses coo\u212aies",
]
PIECES += [
    "use of coo[edit]kies",
    "use cookies ",
    "use\x00cookies",
    "é",
    "long" * 9,
    "\x00",
    "שלום ",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
)
# Rules on documents are out of the way, so that the text left is compared.
LENIENT: dict[str, Any] = {"min_num_sentences": -1, "filter_no_terminal_punct": False}
LENIENT |= {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_words_per_line": 1}
PARAMETERS = st.fixed_dictionaries(
    {
        "remove_citations": st.booleans(),
        "filter_no_terminal_punct": st.booleans(),
        "min_num_sentences": st.sampled_from([-1, 0, 1, 2, 5]),
        "min_words_per_line": st.sampled_from([-1, 0, 1, 3]),
        "max_word_length": st.sampled_from([-1, 0, 4, 20, 1000]),
        "filter_lorem_ipsum": st.booleans(),
        "filter_javascript": st.booleans(),
        "filter_curly_bracket": st.booleans(),
        "filter_policy": st.booleans(),
    }
)
Judged = list[tuple[str, str | None]]


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    split_into_words("IS_ALPHA")


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def ours(rows: list[str], **parameters: Any) -> Judged:
    """Reason and text of each document, its text only where it is kept."""
    verdict = C4Quality(**parameters).filter(docs_of(rows))
    assert verdict.text is not None
    verdict.text.validate(full=True)
    each = zip(verdict.keep, verdict.reason, verdict.text.to_pylist(), strict=True)
    return [("", text) if keep else (reason, None) for keep, reason, text in each]


def theirs(rows: list[str], **parameters: Any) -> Judged:
    judge = C4QualityFilter(**parameters)
    found: Judged = []
    for row in rows:
        document = Document(text=row, id="")
        verdict = judge.filter(document)
        found.append(("", document.text) if verdict is True else (verdict[1], None))
    return found


@settings(max_examples=200)
@given(st.lists(texts, max_size=4))
def test_any_text_gets_the_verdict_and_text_of_datatrove(rows: list[str]) -> None:
    assert ours(rows) == theirs(rows)
    assert ours(rows, **LENIENT) == theirs(rows, **LENIENT)


@settings(max_examples=200)
@given(st.lists(texts, max_size=3), PARAMETERS)
def test_any_parameters_give_the_verdict_of_datatrove(
    rows: list[str], parameters: dict[str, Any]
) -> None:
    assert ours(rows, **parameters) == theirs(rows, **parameters)


@settings(max_examples=100)
@given(st.lists(texts, max_size=3), PARAMETERS)
def test_sentences_can_be_judged_in_place_of_lines(
    rows: list[str], parameters: dict[str, Any]
) -> None:
    parameters["split_paragraph"] = False
    assert ours(rows, **parameters) == theirs(rows, **parameters)


def test_real_texts_get_the_verdict_and_text_of_datatrove(shared_data: Path) -> None:
    reasons = set()
    for name in ("wiki", "law", "dialog", "code_python"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"][:1_500] for _ in range(100)]
        for parameters in ({}, {"filter_no_terminal_punct": False}):
            expected = theirs(rows, **parameters)
            assert ours(rows, **parameters) == expected
            reasons |= {reason for reason, _ in expected}
    assert reasons == {"", "too_few_sentences", "curly_bracket"}


LINE = "The people of the town are here."
PROSE = "\n".join([LINE] * 5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, ""),
        ("", "too_few_sentences"),
        (" \n\u2028\t ", "too_few_sentences"),
        ("word", "too_few_sentences"),
        ("\x00" * 100, "too_few_sentences"),
        (" ".join([LINE] * 5), ""),
        (" ".join([LINE] * 4), "too_few_sentences"),
        (f"{PROSE}\nAll of it is Lorem Ipsum.", "lorem_ipsum"),
        (f"{PROSE}\nAll of it is lorem ipsum", ""),
        (f"{PROSE}\nAll of it is {{.", "curly_bracket"),
        (f"{PROSE}\nAll of it is {{.\nAll of it is lorem ipsum.", "curly_bracket"),
        (f"{PROSE}\nAll of it is lorem ipsum.\nAll of it is {{.", "lorem_ipsum"),
        (f"{PROSE}\nAll of javascript has {{.", ""),
        (f"{PROSE}\nlorem ip[1]sum is cited.", "lorem_ipsum"),
    ],
)
def test_each_reason(text: str, reason: str) -> None:
    found = ours([text])
    assert found[0][0] == reason
    assert found == theirs([text])


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("  It ends well here. \t", "It ends well here."),
        ("It does not end well...", None),
        ("It does not end", None),
        ('He said "so be it"', 'He said "so be it"'),
        ("Too short.", None),
        ("One [1] two.", "One  two."),
        ("It ends well here. [12]", None),
        ("It ends well here.[12][edit][citation needed]", "It ends well here."),
        ("It ends well here[١٢].", "It ends well here."),
        ("It ends well here[²].", "It ends well here[²]."),
        (f"A word of {'x' * 1000} is fine.", f"A word of {'x' * 1000} is fine."),
        (f"A word of {'x' * 1001} is not.", None),
        (f"A word of {'é' * 1000} is fine.", f"A word of {'é' * 1000} is fine."),
        ("Please enable JaVaScript to go on.", None),
        ("Please enable java[1]script to go on.", None),
        ("This site uses coo\u212aies of ours.", None),
        ("This site uses cookes of ours.", "This site uses cookes of ours."),
        ("Our Privacy\u00a0Policy is here.", "Our Privacy\u00a0Policy is here."),
        ("Our privacy policy.", None),
    ],
)
def test_what_is_left_of_a_line(line: str, left: str | None) -> None:
    text = f"{PROSE}\n{line}\n{PROSE}"
    expected = "\n".join([PROSE, *([] if left is None else [left]), PROSE])
    assert ours([text]) == [("", expected)] == theirs([text])


def test_words_are_measured_in_leaps_as_one_by_one() -> None:
    rows = [
        f"{'a' * i} {'é' * j}\u3000{'x' * k} b." for i in (3, 9) for j in (1, 8, 9) for k in (8, 9)
    ]
    for longest in (0, 1, 7, 8, 9):
        parameters = {**LENIENT, "max_word_length": longest}
        assert ours(rows, **parameters) == theirs(rows, **parameters)


def test_signals_count_what_became_of_lines() -> None:
    lines = [
        LINE,
        "no end",
        "Short.",
        "Use javascript here now.",
        "We use cookies on it.",
        "",
        LINE,
    ]
    rows = ["\n".join(lines), f"{LINE}\nA lorem ipsum text.\n{LINE}", PROSE]
    verdict = C4Quality().filter(docs_of(rows))
    signals = {name: np.asarray(values) for name, values in verdict.signals.items()}
    assert list(verdict.reason) == ["too_few_sentences", "lorem_ipsum", ""]
    assert signals["lines"].tolist() == [7, 2, 5]
    assert signals["kept_lines"].tolist() == [2, 1, 5]
    assert signals["no_terminal_punc"].tolist() == [2, 0, 0]
    assert signals["too_few_words"].tolist() == [1, 0, 0]
    assert signals["javascript"].tolist() == [1, 0, 0]
    assert signals["policy"].tolist() == [1, 0, 0]
    assert signals["lorem_ipsum"].tolist() == [0, 1, 0]
    assert signals["sentences"][0] == 2
    assert np.isnan(signals["sentences"][1:]).all()


@given(st.lists(texts, max_size=4))
def test_all_that_is_measured_leads_to_the_same_verdict(rows: list[str]) -> None:
    step = C4Quality(min_num_sentences=2)
    measured = step.measure(docs_of(rows))
    assert not np.isnan(measured["sentences"]).any()
    decided, judged = step.apply(measured), step.filter(docs_of(rows))
    assert decided.keep.tolist() == judged.keep.tolist()
    assert list(decided.reason) == list(judged.reason)


def test_one_huge_line_has_a_verdict() -> None:
    assert ours(["x" * 20_000_000, "word " * 2_000_000]) == [("too_few_sentences", None)] * 2


def test_no_documents_give_no_verdicts() -> None:
    warm_up([C4Quality()])
    assert ours([]) == []


@pytest.mark.parametrize(
    "wrong", [{"min_num_sentences": -2}, {"max_word_length": "x"}, {"unknown": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        C4Quality(**wrong)
