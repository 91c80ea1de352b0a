from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, PrivateAttr
from tasks import DropShort, Shout, documents

from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from pipeline.documents import Docs
from pipeline.errors import ShardError
from pipeline.step import Column, FilterResult, Location, RowStep, Rule, Signals, ThresholdFilter
from pipeline.tuning.signals import LIMIT, Measure, measured_parameters, turned_on


class Length(ThresholdFilter):
    """Characters of the text as it arrives."""

    least: int = 3

    def measure(self, docs: Docs) -> Signals:
        return {"n": np.array([len(text) for text in docs.text.to_pylist()], np.int64)}

    def rules(self) -> list[Rule]:
        return [Rule("short", "n", "least", least=self.least)]


class Halve(Length):
    """A threshold filter that edits: its result has the first half of the text."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"halved": pa.bool_()}

    def edits_text(self) -> bool:
        return True

    def filter(self, docs: Docs) -> FilterResult:
        verdict = self.apply(self.measure(docs))
        halves = [text[: len(text) // 2] for text in docs.text.to_pylist()]
        return FilterResult(
            keep=verdict.keep,
            reason=verdict.reason,
            text=pa.array(halves, pa.large_string()),
            columns={"halved": pa.array([True] * len(docs))},
        )


class Needs(RowStep):
    """Judges by a column."""

    column: str

    def reads(self) -> dict[Location, Column]:
        return {("column",): Column(self.column)}

    def filter(self, docs: Docs) -> FilterResult:
        values = docs.column(self.column).to_numpy(zero_copy_only=False)
        return FilterResult(keep=values.astype(bool), reason="no")


class EveryKind(RowStep):
    """Reports signals of every kind."""

    def filter(self, docs: Docs) -> FilterResult:
        rows = len(docs)
        signals: dict[str, Any] = {
            "count": np.arange(rows, dtype=np.uint64),
            "flag": np.ones(rows, dtype=bool),
            "half": np.full(rows, 0.5, np.float32),
            "some": pa.array([None, *range(1, rows)] if rows else [], pa.int64()),
            "none": pa.nulls(rows),
            "word": np.array(["w"] * rows),
            "list": pa.array([[1, 2]] * rows),
        }
        return FilterResult(
            keep=np.zeros(rows, bool), reason=["a", "b", "c"][:rows], signals=signals
        )


def measured(
    texts: list[str], *steps: tuple[str, RowStep], absent: tuple[str, ...] = ()
) -> FilterResult:
    return Measure(steps=steps, absent=absent).filter(Docs(documents(texts)))


def column(verdict: FilterResult, name: str) -> list[Any]:
    values: list[Any] = pa.array(verdict.columns[name]).to_pylist()
    return values


def test_every_document_is_measured_by_every_step_and_kept() -> None:
    found = measured(["a", "abcd"], ("drop", DropShort(least=9)), ("length", Length()))
    assert found.keep.all()
    assert column(found, "drop.length") == [1, 4]
    assert column(found, "drop.reason") == ["short", "short"]
    assert column(found, "length.n") == [1, 4]


def test_rule_steps_have_no_reason_because_limits_may_change() -> None:
    found = measured(["a"], ("length", Length()), ("drop", DropShort()))
    assert "length.reason" not in found.columns
    assert "drop.reason" in found.columns


def test_early_exits_leave_nothing_out() -> None:
    text = " ".join(["same same"] * 50)
    direct = GopherRepetition().filter(Docs(documents([text]))).signals
    found = measured([text], ("rep", GopherRepetition()))
    unmeasured = [name for name, values in direct.items() if np.isnan(values).any()]
    assert unmeasured
    for name in unmeasured:
        assert column(found, f"rep.{name}")[0] >= 0


def test_edits_are_what_later_steps_see_also_of_documents_that_would_go() -> None:
    texts = ["abcdefgh", "ab"]
    found = measured(texts, ("halve", Halve()), ("after", Length()), ("loud", Shout()))
    assert column(found, "halve.n") == [8, 2]
    assert column(found, "after.n") == [4, 1]
    assert found.text is not None
    assert found.text.to_pylist() == texts, "the excerpt is of the text that was read"


def test_columns_that_steps_add_are_there_for_later_ones() -> None:
    found = measured(["abcd"], ("halve", Halve()), ("needs", Needs(column="halved")))
    assert column(found, "needs.reason") == [""]


def test_steps_that_need_what_nobody_adds_are_left_out() -> None:
    steps = (("needs", Needs(column="quality")), ("length", Length()))
    found = measured(["abcd"], *steps, absent=("quality",))
    assert "needs.reason" not in found.columns
    assert column(found, "length.n") == [4]


@pytest.mark.parametrize("absent", [(), ("qual",), ("quality_2",)])
def test_other_missing_columns_are_faults(absent: tuple[str, ...]) -> None:
    with pytest.raises(ShardError, match=r"Needs.* raised KeyError: .*quality"):
        measured(["abcd"], ("needs", Needs(column="quality")), absent=absent)


def test_numbers_become_floats_and_all_else_text() -> None:
    found = measured(["a", "b"], ("s", EveryKind()))
    assert column(found, "s.count") == [0.0, 1.0]
    assert column(found, "s.flag") == [1.0, 1.0]
    assert column(found, "s.half") == [0.5, 0.5]
    assert column(found, "s.some") == [None, 1.0]
    assert column(found, "s.none") == [None, None]
    assert column(found, "s.word") == ["w", "w"]
    assert column(found, "s.list") == ["[1,2]", "[1,2]"]
    assert column(found, "s.reason") == ["a", "b"]


def test_texts_become_excerpts_with_their_size() -> None:
    found = measured(["é" * 600, "", "a\x00b"], ("length", Length()))
    assert found.text is not None
    assert found.text.to_pylist() == ["é" * 500, "", "a\x00b"]
    assert column(found, "text_bytes") == [1200, 0, 3]
    assert column(found, "metadata") == [None, None, None]


def test_equal_columns_without_documents() -> None:
    steps = (("q", GopherQuality()), ("loud", Shout()), ("s", EveryKind()))
    none, some = measured([], *steps), measured(["some text here"], *steps)
    assert none.columns.keys() == some.columns.keys()


def recipe(*steps: tuple[str, RowStep]) -> dict[str, Any]:
    return Measure(steps=steps).model_dump(mode="json")


def test_limits_are_not_in_the_recipe_and_all_else_is() -> None:
    one = recipe(("length", Length(least=3)), ("drop", DropShort(least=3)))
    assert recipe(("length", Length(least=9)), ("drop", DropShort(least=3))) == one
    assert recipe(("length", Length(least=3)), ("drop", DropShort(least=4))) != one
    assert recipe(("drop", DropShort(least=3)), ("length", Length(least=3))) != one
    assert recipe(("length", Halve(least=3)), ("drop", DropShort(least=3))) != one


def test_the_step_goes_to_workers_whole() -> None:
    step = Measure(steps=(("length", Length(least=7)),), absent=("x",))
    again = pickle.loads(pickle.dumps(step))  # noqa: S301
    assert again == step
    assert again.steps[0][1].least == 7


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), min_size=1, max_size=5))
@settings(max_examples=30)
def test_stored_signals_decide_as_the_step_itself_does(texts: list[str]) -> None:
    texts = [*texts, " ".join(texts) * 30]
    steps: list[ThresholdFilter] = [
        GopherQuality(min_doc_words=3, min_stop_words=1),
        GopherRepetition(),
    ]
    for step in steps:
        found = measured(texts, ("s", step))
        signals = {
            name.removeprefix("s."): values.to_numpy(zero_copy_only=False)
            for name, values in found.columns.items()
            if name.startswith("s.")
        }
        direct = step.filter(Docs(documents(texts)))
        again = step.apply(signals)
        assert again.keep.tolist() == direct.keep.tolist()
        assert again.reason == direct.reason


class Odd(ThresholdFilter):
    """A rule whose limit -1 turns off, one that cannot be 1, one that a switch turns on."""

    minus: int = -1
    large: int | None = Field(None, ge=5)
    switch: bool = False
    words: tuple[str, ...] = ()
    strict: bool = False
    _folder: str = PrivateAttr(default="")

    def measure(self, docs: Docs) -> Signals:
        return {"n": np.zeros(len(docs))}

    def rules(self) -> list[Rule]:
        return [
            *([Rule("minus", "n", "minus", most=self.minus)] if self.minus >= 0 else []),
            *([Rule("large", "n", "large", most=self.large)] if self.large else []),
            *([Rule("switch", "n", "switch", most=0)] if self.switch else []),
            *([Rule("strict", "n", most=0)] if self.strict else []),
        ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_doc_words": 40},
        {"min_doc_words": 0},
        {"min_doc_words": None},
        {"max_symbol_word_ratio": 0, "max_non_alpha_words_ratio": None},
        {"min_stop_words": 0, "max_avg_word_length": 99.5},
    ],
)
def test_limits_decide_nothing_that_is_measured_on_or_off(parameters: dict[str, Any]) -> None:
    assert measured_parameters(GopherQuality(**parameters)) == measured_parameters(GopherQuality())


def test_what_is_measured_stays_a_parameter() -> None:
    values = measured_parameters(GopherQuality())
    assert values["stop_words"] == list(GopherQuality().stop_words)
    assert values["language"] == "en"
    limits = values.keys() - {"stop_words", "language"}
    assert {values[name] for name in limits} == {LIMIT}
    assert measured_parameters(GopherQuality(stop_words=("the",))) != values


def test_of_limits_in_lists_only_the_limit_is_left_out() -> None:
    values = measured_parameters(GopherRepetition(dup_n_grams=((5, 0.3), (10, 0.2))))
    assert values["dup_n_grams"] == [[5, LIMIT], [10, LIMIT]]
    other = measured_parameters(GopherRepetition(dup_n_grams=((5, 0.1), (10, 0.9))))
    assert other == values
    assert measured_parameters(GopherRepetition(dup_n_grams=((5, 0.3), (9, 0.2)))) != values


def test_a_limit_that_is_not_found_while_off_is_another_parameter() -> None:
    off = measured_parameters(Odd())
    assert (off["minus"], off["large"]) == (-1, None)
    assert measured_parameters(Odd(minus=3)) != off
    assert measured_parameters(Odd(large=7)) != off
    assert measured_parameters(Odd(minus=3)) == measured_parameters(Odd(minus=0))


def test_a_switch_is_a_limit_only_when_a_rule_says_so() -> None:
    assert measured_parameters(Odd(switch=True)) == measured_parameters(Odd())
    assert measured_parameters(Odd(strict=True)) != measured_parameters(Odd())


def test_turned_on_has_the_rules_that_were_off_and_all_that_belongs_to_the_step() -> None:
    step = Odd(words=("a",))
    step._folder = "here"
    on = turned_on(step)
    assert [rule.reason for rule in on.rules()] == ["switch"]
    assert (on.words, on.strict, on._folder) == (("a",), False, "here")
    assert turned_on(GopherQuality(min_stop_words=0)).min_stop_words == 1


def test_of_other_steps_every_parameter_counts() -> None:
    class Plain(RowStep):
        least: int = 5
        off: int = 0

    assert measured_parameters(Plain(least=6)) == {"least": 6, "off": 0}


def test_a_rule_that_names_no_parameter_there_is_changes_nothing() -> None:
    class Lost(Odd):
        def rules(self) -> list[Rule]:
            return [Rule("a", "n", "words.7.x"), Rule("b", "n", "none"), Rule("c", "n", "words.x")]

    assert measured_parameters(Lost(words=("a",))) == Lost(words=("a",)).model_dump(mode="json")
