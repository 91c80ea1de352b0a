"""Probabilities of labels from log probabilities of tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.answers import MISSING, Answer, Label

SHARES = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=26)


def logs(shares: list[float], mass: float) -> list[float]:
    return [math.log(share / sum(shares) * mass) for share in shares]


@given(SHARES, st.floats(1e-6, 1.0))
def test_probabilities_are_shares_of_the_mass(shares: list[float], mass: float) -> None:
    label = Label.of_logprobs(logs(shares, mass))
    assert label.mass == pytest.approx(mass, rel=1e-9)
    assert sum(label.probabilities) == pytest.approx(1)
    assert label.probabilities == pytest.approx([share / sum(shares) for share in shares])


@given(SHARES)
def test_expectation_lies_between_the_lowest_and_the_highest_grade(shares: list[float]) -> None:
    label = Label.of_logprobs(logs(shares, 0.9))
    values = list(range(len(shares)))
    assert 0 <= label.expected(values) <= values[-1] + 1e-9
    assert label.probabilities[label.best] == max(label.probabilities)
    assert -1e-9 <= label.entropy <= math.log(len(shares)) + 1e-9


def test_expectation_is_the_sum_of_grades_times_probabilities() -> None:
    label = Label.of_logprobs(np.log([0.1, 0.2, 0.6]).tolist())
    assert label.expected([0, 1, 2]) == pytest.approx((0.2 + 1.2) / 0.9)
    assert label.mass == pytest.approx(0.9)


def test_very_small_probabilities_keep_their_shares() -> None:
    label = Label.of_logprobs([-1_000.0, -1_000.0 + math.log(3)])
    assert label.probabilities == pytest.approx((0.25, 0.75))
    assert label.mass == 0.0


def test_label_that_was_not_reported_has_no_probability() -> None:
    label = Label.of_logprobs([MISSING, math.log(0.5)])
    assert label.probabilities == (0.0, 1.0)
    assert label.entropy == 0.0


@pytest.mark.parametrize(
    "logprobs",
    [
        [math.nan, -1.0],
        [0.5, -1.0],
        [math.inf, -1.0],
        [MISSING, MISSING],
        [0.0, 0.0, 0.0],  # each of three tokens with all of the probability
        [-0.1, -0.1],
    ],
)
def test_what_cannot_be_probabilities_is_refused(logprobs: list[float]) -> None:
    with pytest.raises(ValueError, match=r"probabilit"):
        Label.of_logprobs(logprobs)


def test_rounding_of_sixteen_bits_is_no_error() -> None:
    assert Label.of_logprobs([math.log(0.505), math.log(0.505)]).mass == 1.0


def test_certain_label_has_all_probability() -> None:
    assert Label.certain(1, 3) == Label((0.0, 1.0, 0.0), 1.0)


def test_low_mass_is_an_error_of_that_attribute_alone() -> None:
    high, low = Label((0.5, 0.5), 0.9), Label((0.5, 0.5), 0.2)
    answer = Answer({"a": high, "b": low}, {"c": "bad"}, "why").with_least_mass(0.5)
    assert answer.labels == {"a": high}
    assert [answer.error(name) for name in "abcd"] == ["", "low-mass", "bad", "unknown"]
    assert answer.rationale == "why"


def test_refused_answer_has_its_code_for_every_attribute() -> None:
    assert Answer.refused("http-400").error("anything") == "http-400"
