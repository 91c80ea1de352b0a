from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import Field, PrivateAttr

from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from pipeline.documents import Docs
from pipeline.step import RowStep, Rule, Signals, ThresholdFilter
from pipeline.tuning.thresholds import LIMIT, measured_parameters, turned_on


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
