"""A regular expression chooses documents as Python's would, in linear time, or is refused."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.regex_filter import RegexFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.regex import Regex
from pipeline.documents import Docs
from pipeline.errors import Problem
from pipeline.step import ManifestView

VIEW = ManifestView(Path(), 0, ("web",))


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def problems(**parameters: Any) -> list[Problem]:
    return list(Regex(**parameters).check(VIEW))


# Where the two syntaxes mean the same.
EXPRESSIONS = ["a+b", "(ab|ba)+", "^a", "b\\z", "a.b", "[^ab ]{2}", "a*?b", "(?i)AB", "(?m)^b$"]
EXPRESSIONS += ["(?s)a.b", "\\x{e9}", "é+", "a{2,3}", "()", "[é-ü]"]


def for_python(expression: str) -> str:
    return expression.replace("\\z", "\\Z").replace("\\x{e9}", "\\xe9")


texts = st.text("abé\n AB中", max_size=12)


@settings(max_examples=150)
@given(st.lists(texts, max_size=5), st.sampled_from(EXPRESSIONS))
def test_documents_are_chosen_as_datatrove_chooses_them(rows: list[str], expression: str) -> None:
    theirs = RegexFilter(for_python(expression))
    keep = [theirs.filter(Document(text=row, id="")) for row in rows]
    assert Regex(regex_exp=expression).filter(docs_of(rows)).keep.tolist() == keep
    others = Regex(regex_exp=expression, exclude=False).filter(docs_of(rows))
    assert others.keep.tolist() == [not kept for kept in keep]


@given(st.lists(texts, max_size=5), st.sampled_from(["a+b", "(a)(b)", "[AB]", "é", "(?i)ab"]))
def test_matches_are_replaced_as_python_replaces_them(rows: list[str], expression: str) -> None:
    verdict = Regex(regex_exp=expression, replacement="<\\0>").filter(docs_of(rows))
    assert verdict.text is not None
    assert verdict.text.to_pylist() == [re.sub(expression, r"<\g<0>>", row) for row in rows]
    assert verdict.keep.all()
    changed = [bool(re.search(expression, row)) for row in rows]
    assert verdict.signals["regex_replaced"].tolist() == changed


def test_reasons_say_which_way() -> None:
    rows = ["lorem ipsum", "text"]
    verdict = Regex(regex_exp="lorem").filter(docs_of(rows))
    assert (verdict.keep.tolist(), verdict.reason) == ([False, True], "regex_match")
    assert verdict.signals["regex_match"].tolist() == [True, False]
    verdict = Regex(regex_exp="lorem", exclude=False).filter(docs_of(rows))
    assert (verdict.keep.tolist(), verdict.reason) == ([True, False], "regex_no_match")


def test_case_can_be_ignored_also_in_replacing() -> None:
    assert not Regex(regex_exp="É", ignore_case=True).filter(docs_of(["é"])).keep[0]
    verdict = Regex(regex_exp="É", ignore_case=True, replacement="e").filter(docs_of(["éÉ"]))
    assert verdict.text is not None
    assert verdict.text.to_pylist() == ["ee"]


def test_groups_can_be_put_back() -> None:
    verdict = Regex(regex_exp="(\\w+) (\\w+)", replacement="\\2 \\1").filter(docs_of(["a b"]))
    assert verdict.text is not None
    assert verdict.text.to_pylist() == ["b a"]


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(.*a){20}!", "^(a?){30}a{30}c$"])
def test_what_makes_others_backtrack_takes_linear_time(expression: str) -> None:
    assert problems(regex_exp=expression) == []
    step, docs = Regex(regex_exp=expression), docs_of(["a" * 2**20 + "b"])
    before = time.process_time()
    assert step.filter(docs).keep.tolist() == [True]
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("(?=a)b", "lookaround"),
        ("(?!a)b", "lookaround"),
        ("(?<=a)b", "lookaround"),
        ("(?<!a)b", "lookaround"),
        ("(?>a)b", "atomic"),
        ("(a)\\1", "backreferences"),
        ("a++", "possessive"),
        ("a\\Z", "\\z"),
        ("((a{100}){100}){100}", "1,000"),
        ("a{1001}", "1,000"),
        ("(\\pL{0,30}\\PL{0,30}){30}q", "shorter"),
        ("[a", "Syntax"),
        ("(a", "Syntax"),
        ("*", "Syntax"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_hint(expression: str, hint: str) -> None:
    (problem,) = problems(regex_exp=expression, replacement="x")
    assert problem.path == ("regex_exp",)
    assert problem.code == "bad-regex"
    assert repr(expression) in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("replacement", ["\\2", "\\", "\\x"])
def test_replacements_that_refer_to_nothing_are_refused(replacement: str) -> None:
    (problem,) = problems(regex_exp="(a)", replacement=replacement)
    assert (problem.path, problem.code) == (("replacement",), "bad-replacement")
    assert problems(regex_exp="(a)", replacement="\\1") == []


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "a\x00b", "e\u0301", "שלום", "\U0010ffff", "x" * 10_000_000]
)
def test_odd_texts_get_a_verdict(text: str) -> None:
    step = Regex(regex_exp="lorem|\\x{5d0}{3}")
    assert step.filter(docs_of([text])).keep.tolist() == [True]


def test_no_documents_give_no_verdicts() -> None:
    assert Regex(regex_exp="a").filter(docs_of([])).keep.tolist() == []
    assert Regex(regex_exp="a", replacement="b").filter(docs_of([])).keep.tolist() == []


@pytest.mark.parametrize("wrong", [{}, {"regex_exp": ""}, {"regex_exp": "a", "unknown": 1}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Regex(**wrong)
