from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.binary_metrics import auc, auc_interval, calibration, evaluate

scores = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=30)


@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_the_right_order(
    positive: list[float], negative: list[float]
) -> None:
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(np.mean(pairs))


@given(scores, scores)
def test_auc_of_swapped_classes_is_the_complement(
    positive: list[float], negative: list[float]
) -> None:
    a, b = np.array(positive), np.array(negative)
    assert auc(a, b) + auc(b, a) == pytest.approx(1)


def test_interval_holds_the_estimate_and_narrows_with_more_documents() -> None:
    random = np.random.default_rng(3)
    positive, negative = random.normal(1, 1, 2_000), random.normal(0, 1, 2_000)
    few = auc_interval(positive[:40], negative[:40], seed=1)
    many = auc_interval(positive, negative, seed=1)
    assert few[0] < auc(positive[:40], negative[:40]) < few[1]
    assert many[0] < auc(positive, negative) < many[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 3


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # P(N(1, 1) > N(0, 1)) = Φ(1/√2)
    truth = 0.7602499389065233
    random = np.random.default_rng(5)
    hits = 0
    for seed in range(30):
        low, high = auc_interval(random.normal(1, 1, 80), random.normal(0, 1, 80), seed)
        hits += low <= truth <= high
    assert hits >= 25


def test_interval_repeats_with_its_seed() -> None:
    a, b = np.linspace(0.2, 1, 30), np.linspace(0, 0.8, 30)
    assert auc_interval(a, b, seed=7) == auc_interval(a, b, seed=7)
    assert auc_interval(a, b, seed=7) != auc_interval(a, b, seed=8)


def test_calibration_shows_scores_beside_shares() -> None:
    found = calibration(
        np.array([0.05, 0.07, 0.92, 0.98, 1.0]), np.array([False, True, True, True, False])
    )
    assert found == {
        "0.0 to 0.1": {"n": 2, "score": 0.06, "positive": 0.5},
        "0.9 to 1.0": {"n": 3, "score": 0.9667, "positive": 0.6667},
    }


def test_figures_of_a_perfect_scorer() -> None:
    found = evaluate(np.array([1.0, 1.0]), np.array([0.0, 0.0, 0.0]), seed=1)
    assert found["n"] == {"positive": 2, "negative": 3}
    assert (found["auc"], found["auc_95"], found["accuracy"]) == (1, [1, 1], 1)
    assert found["brier"] == 0


def test_figures_of_a_scorer_that_knows_nothing() -> None:
    found = evaluate(np.full(10, 0.5), np.full(10, 0.5), seed=1)
    assert (found["auc"], found["accuracy"], found["brier"]) == (0.5, 0.5, 0.25)
