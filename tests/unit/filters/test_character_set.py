"""Documents are judged by the share of characters of a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.character_set import CharacterSet
from pipeline.documents import Docs
from pipeline.step import ManifestView
from winnow.testing import warm_up


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def judged(rows: list[str], **parameters: Any) -> list[str]:
    verdict = CharacterSet(**parameters).filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


@given(
    st.lists(st.one_of(st.text(max_size=20), st.text("a1 é", max_size=8)), max_size=5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_shares_are_those_of_plain_python(rows: list[str], one: float, other: float) -> None:
    low, high = sorted((one, other))
    expected = []
    for row in rows:
        if not row:
            expected.append("empty")
            continue
        ratio = sum(c.isalpha() or c.isdecimal() for c in row) / len(row)
        reason = "character_set_high" if ratio > high else ""
        expected.append("character_set_low" if ratio < low else reason)
    limits = {"min_ratio": low, "max_ratio": high}
    assert judged(rows, characters=("letters", "digits"), **limits) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("An English text, of 2 lines.", ""),
        ("Здравствуй, мир", "character_set_low"),
        ("half Latin, наполовину кириллица", "character_set_low"),
        ("שלום עולם", "character_set_low"),
        ("naïve Café ﬁn e\u0301", ""),
        ("12345 !?", "empty"),  # no letters to take a share of
        ("", "empty"),
        (" \n", "empty"),
        ("\x00", "empty"),
    ],
)
def test_the_share_of_a_script_among_letters(text: str, reason: str) -> None:
    parameters = {"characters": ("Latin",), "among": ("letters",), "min_ratio": 0.9}
    assert judged([text], **parameters) == [reason]


def test_without_a_least_share_nothing_is_too_empty() -> None:
    assert judged(["", "1", "a"], characters=("digits",), max_ratio=0.5) == [
        "",
        "character_set_high",
        "",
    ]


def test_the_ratio_is_measured_for_all() -> None:
    step = CharacterSet(characters=("upper",), max_ratio=1)
    ratio = np.asarray(step.measure(docs_of(["AbCd", "", "x"]))["character_set_ratio"])
    assert ratio.tolist()[::2] == [0.5, 0]
    assert np.isnan(ratio[1])


def test_rules_name_their_parameters() -> None:
    step = CharacterSet(characters=("upper",), min_ratio=0, max_ratio=1)
    assert [rule.parameter for rule in step.rules()] == ["", "min_ratio", "max_ratio"]


def test_unknown_sets_are_problems() -> None:
    step = CharacterSet(characters=("Latin", "latin"), among=("Klingon", "letters"), max_ratio=1)
    found = list(step.check(ManifestView(Path(), 0, ("web",))))
    assert [problem.path for problem in found] == [("characters", 1), ("among", 0)]
    assert all(p.code == "unknown-characters" and "Cyrillic" in p.hint for p in found)


def test_preparing_changes_no_verdict() -> None:
    step = CharacterSet(characters=("Han",), min_ratio=0.5)
    warm_up([step])
    assert step.filter(docs_of(["中文 字", "text"])).keep.tolist() == [True, False]
    assert step.filter(docs_of([])).keep.tolist() == []


def test_a_huge_line_is_judged() -> None:
    assert judged(["é" * 5_000_000], characters=("ascii",), max_ratio=0.1) == [""]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"characters": ("digits",)},
        {"characters": (), "max_ratio": 0.5},
        {"characters": ("digits",), "max_ratio": 1.5},
        {"characters": ("digits",), "min_ratio": 0.6, "max_ratio": 0.5},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CharacterSet(**wrong)
