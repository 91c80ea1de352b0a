"""Rules are data: what breaks one, in which order, and why a document goes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import Docs
from pipeline.step import FilterResult, Rule, Signals, ThresholdFilter

NAN = float("nan")


class Size(ThresholdFilter):
    """Keeps texts of 2 to 4 bytes."""

    def measure(self, docs: Docs) -> Signals:
        sizes = np.array([len(text.encode()) for text in docs.text.to_pylist()], dtype=float)
        return {"size": sizes, "share": np.where(sizes > 0, 1.0, NAN)}

    def rules(self) -> list[Rule]:
        return [
            Rule("none", "share", defined=True),
            Rule("short", "size", "least", least=2),
            Rule("long", "size", "most", most=4),
        ]


def docs_of(texts: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(texts, pa.large_string())}))


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (Rule("r", "x", least=1), [True, False, False, False]),
        (Rule("r", "x", most=1), [False, False, True, False]),
        (Rule("r", "x", least=1, most=1), [True, False, True, False]),
        (Rule("r", "x", defined=True), [False, False, False, True]),
        (Rule("r", "x", most=1, defined=True), [False, False, True, True]),
        (Rule("r", "x"), [False, False, False, False]),
    ],
)
def test_limits_themselves_are_allowed_and_nan_breaks_only_a_rule_that_says_so(
    rule: Rule, broken: list[bool]
) -> None:
    assert rule.broken({"x": np.array([0.5, 1, 1.5, NAN])}).tolist() == broken


def test_the_first_rule_broken_is_the_reason() -> None:
    verdict = Size().filter(docs_of(["", "a", "abc", "abcde"]))
    assert verdict.keep.tolist() == [False, False, True, False]
    assert list(verdict.reason) == ["none", "short", "", "long"]
    assert set(verdict.signals) == {"size", "share"}


@given(st.lists(st.text(max_size=6), max_size=8))
def test_deciding_on_stored_signals_is_judging(texts: list[str]) -> None:
    step, docs = Size(), docs_of(texts)
    stored = {name: np.array(values) for name, values in step.measure(docs).items()}
    judged, decided = step.filter(docs), step.apply(stored)
    assert judged.keep.tolist() == decided.keep.tolist()
    assert list(judged.reason) == list(decided.reason)


def test_codes_name_their_reasons() -> None:
    verdict = FilterResult.of_codes(np.array([0, 2, 1]), ["first", "second"])
    assert verdict.keep.tolist() == [True, False, False]
    assert list(verdict.reason) == ["", "second", "first"]


def test_a_step_that_measures_nothing_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"ThresholdFilter\.measure"):
        ThresholdFilter().filter(docs_of(["a"]))
