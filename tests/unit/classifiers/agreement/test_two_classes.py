from __future__ import annotations

import numpy as np
import pytest

from classifiers.agreement.agreement_metrics import auc
from classifiers.agreement.two_classes import evaluate


def test_figures_of_a_perfect_scorer() -> None:
    found = evaluate(np.ones(8), np.zeros(12), seed=1)
    assert found["n"] == {"positive": 8, "negative": 12}
    assert (found["auc"], found["auc_95"], found["accuracy"]) == (1, [1, 1], 1)
    assert (found["brier"], found["calibration_error"]) == (0, 0)
    assert [entry["n"] for entry in found["calibration"]] == [12, 8]


def test_figures_of_a_scorer_that_knows_nothing() -> None:
    found = evaluate(np.full(10, 0.5), np.full(10, 0.5), seed=1)
    assert (found["auc"], found["accuracy"], found["brier"]) == (0.5, 0.5, 0.25)
    assert found["calibration"] == [
        {"low": 0.5, "high": 0.6, "n": 20, "predicted": 0.5, "truth": 0.5}
    ]


def test_scores_of_the_wrong_end_are_worse_than_chance() -> None:
    good, bad = np.linspace(0, 0.4, 20), np.linspace(0.2, 1, 20)
    found = evaluate(good, bad, seed=1)
    low, high = found["auc_95"]
    assert low < found["auc"] < high < 0.5
    truth = np.repeat([1, 0], 20)
    assert found["auc"] == pytest.approx(auc(truth, np.concatenate([good, bad])), abs=1e-4)
    assert found["calibration_error"] > 0.3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("good", "bad"), [(0, 3), (3, 0), (1, 0), (0, 0)])
def test_a_class_without_documents_has_no_auc(good: int, bad: int) -> None:
    found = evaluate(np.full(good, 0.7), np.full(bad, 0.2), seed=1)
    assert found["n"] == {"positive": good, "negative": bad}
    assert (found["auc"], found["auc_95"]) == (None, [None, None])


def test_equal_scores_and_seed_give_equal_figures() -> None:
    # float32, as a student gives them.
    random = np.random.default_rng(1)
    a, b = (random.random(30).astype(np.float32) for _ in range(2))
    assert evaluate(a, b, seed=7) == evaluate(a, b, seed=7)
    assert evaluate(a, b, seed=7)["auc_95"] != evaluate(a, b, seed=8)["auc_95"]
