"""Every figure against a slow and plain one, known values, and the intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from classifiers.agreement import agreement_metrics
from classifiers.agreement.agreement_metrics import (
    Estimate,
    accuracy,
    auc,
    bias,
    bootstrap,
    brier,
    calibration,
    calibration_error,
    cohen_kappa,
    complete,
    evaluate,
    f1_at,
    grades,
    macro_f1,
    mean_absolute_error,
    quadratic_kappa,
    spearman,
)

GRADES = range(6)
graded = st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(GRADES)), min_size=2)
scored = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1, width=16)), min_size=1, max_size=40
)  # fmt: skip
ALL: list[Callable[..., Any]] = [
    *(spearman, quadratic_kappa, cohen_kappa, accuracy, macro_f1, auc, calibration_error),
    *(mean_absolute_error, bias, brier),
    lambda a, b: f1_at(a, b, 0.5),
]


def columns(pairs: list[tuple[Any, Any]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    a, b = zip(*pairs, strict=True)
    return np.array(a), np.array(b)


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
    """An oracle's figure, its warnings about undefined figures aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(*args, **kwargs))


@given(graded)
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = columns(pairs)
    expected = quietly(lambda: stats.spearmanr(a, b).statistic)
    assert spearman(a, b) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(graded)
def test_quadratic_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    a, b = columns(pairs)
    expected = quietly(
        oracle.cohen_kappa_score, a, b, weights="quadratic", labels=list(GRADES)
    )  # fmt: skip
    assert quadratic_kappa(a, b) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(graded)
def test_kappa_accuracy_and_macro_f1_of_categories_are_scikit_learns(
    pairs: list[tuple[int, int]],
) -> None:
    a, b = columns(pairs)
    kappa = quietly(oracle.cohen_kappa_score, a, b)
    assert cohen_kappa(a, b) == pytest.approx(kappa, abs=1e-12, nan_ok=True)
    assert accuracy(a, b) == pytest.approx(oracle.accuracy_score(a, b))
    assert macro_f1(a, b) == pytest.approx(quietly(oracle.f1_score, a, b, average="macro"))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_categories_may_be_names_or_truth_values(pairs: list[tuple[bool, bool]]) -> None:
    a, b = columns(pairs)
    for metric in (cohen_kappa, macro_f1, accuracy):
        expected = pytest.approx(metric(a.astype(int), b.astype(int)), nan_ok=True)
        assert metric(a, b) == expected
        assert metric(np.where(a, "yes", "no"), np.where(b, "yes", "no")) == expected


@given(graded, st.sampled_from([1.0, 0.1, 1_000.0, -1.0]), st.sampled_from([0, 0.5, -3]))
def test_categories_may_be_any_numbers(
    pairs: list[tuple[int, int]], step: float, first: float
) -> None:
    a, b = columns(pairs)
    for metric in (cohen_kappa, macro_f1):
        named = metric(a * step + first, b * step + first)
        assert named == pytest.approx(metric(a, b), nan_ok=True)


@given(graded, st.sampled_from(GRADES))
def test_f1_at_a_threshold_is_scikit_learns_where_it_is_defined(
    pairs: list[tuple[int, int]], threshold: int
) -> None:
    a, b = columns(pairs)
    found = f1_at(a, b, threshold)
    if (a >= threshold).any() or (b >= threshold).any():
        assert found == pytest.approx(oracle.f1_score(a >= threshold, b >= threshold))
    else:
        assert math.isnan(found)


def test_f1_at_takes_a_threshold_for_each_column() -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([2.4, 2.6, 4.0, 2.5])
    assert f1_at(labels, scores, 2.5, truth_threshold=1) == pytest.approx(
        oracle.f1_score(labels, scores >= 2.5)
    )


@given(scored)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[bool, float]]) -> None:
    truth, scores = columns(pairs)
    ordered = [(p > n) + (p == n) / 2 for p, n in product(scores[truth], scores[~truth])]
    assert auc(truth, scores) == pytest.approx(np.mean(ordered) if ordered else math.nan, nan_ok=1)
    if ordered:
        assert auc(truth, scores) == pytest.approx(oracle.roc_auc_score(truth, scores))
        assert auc(truth, scores) + auc(~truth, scores) == pytest.approx(1)


@given(scored)
def test_brier_score_is_scikit_learns(pairs: list[tuple[bool, float]]) -> None:
    truth, scores = columns(pairs)
    assert brier(truth, scores) == pytest.approx(
        oracle.brier_score_loss(truth, scores, labels=[0, 1])
    )


@given(scored)
def test_calibration_error_is_the_weighted_gap_of_the_calibration_bins(
    pairs: list[tuple[bool, float]],
) -> None:
    truth, scores = columns(pairs)
    entries = calibration(truth, scores)
    assert sum(entry["n"] for entry in entries) == len(pairs)
    gap = sum(entry["n"] * abs(entry["predicted"] - entry["truth"]) for entry in entries)
    # Entries are rounded to four decimals.
    assert calibration_error(truth, scores) == pytest.approx(gap / len(pairs), abs=2e-4)


def test_calibration_shows_mean_scores_beside_mean_truth() -> None:
    truth, scores = np.array([0, 1, 1, 1, 0]), np.array([0.05, 0.07, 0.92, 0.98, 1.0])
    assert calibration(truth, scores) == [
        {"low": 0.0, "high": 0.1, "n": 2, "predicted": 0.06, "truth": 0.5},
        {"low": 0.9, "high": 1.0, "n": 3, "predicted": 0.9667, "truth": 0.6667},
    ]


def test_calibration_on_another_scale() -> None:
    gold, scores = np.array([0.0, 1, 5, 4, math.nan]), np.array([0.4, 0.8, 5, 4.2, 3])
    assert calibration(gold, scores, low=0, high=5, bins=5) == [
        {"low": 0.0, "high": 1.0, "n": 2, "predicted": 0.6, "truth": 0.5},
        {"low": 4.0, "high": 5.0, "n": 2, "predicted": 4.6, "truth": 4.5},
    ]
    gold, scores = complete(gold, scores)
    assert calibration_error(gold, scores, 0, 5, 5) == pytest.approx((0.2 + 0.2) / 4)


def test_error_and_bias_are_in_the_unit_of_the_scale() -> None:
    gold, scores = np.array([0, 5, 2]), np.array([1.0, 4.0, 3.5])
    assert mean_absolute_error(gold, scores) == pytest.approx(3.5 / 3)
    assert bias(gold, scores) == pytest.approx(1.5 / 3)


@given(st.lists(st.floats(-3, 9), min_size=1))
def test_grades_are_fineweb_edus(scores: list[float]) -> None:
    expected = [round(min(max(score, 0), 5)) for score in scores]
    assert grades(np.array(scores), 0, 5).tolist() == expected


def test_a_half_goes_to_the_even_grade_and_nan_stays() -> None:
    assert grades(np.array([0.5, 1.5, 2.5, 7]), 0, 5).tolist() == [0, 2, 2, 5]
    assert np.isnan(grades(np.array([math.nan]), 0, 5)).all()


@pytest.mark.parametrize("metric", ALL)
@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_resamples_side_by_side_give_what_each_gives_alone(
    metric: Callable[..., Any], seed: int
) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 2, (3, 4, 7)), random.integers(0, 3, (3, 4, 7)) / 2
    together = metric(a, b)
    assert together.shape == (3, 4)
    for i, j in np.ndindex(3, 4):
        assert together[i, j] == pytest.approx(metric(a[i, j], b[i, j]), nan_ok=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([], []),
        ([1.0], [0.0]),
        ([1.0, 1.0, 1.0], [0.1, 0.5, 0.9]),
        ([0.0, 1.0, 1.0], [0.1, 0.1, 0.1]),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]),
        ([math.nan, math.nan], [1.0, 0.0]),
        ([math.nan, 1.0, 0.0], [1.0, math.nan, 0.0]),
    ],
)
def test_degenerate_columns_give_a_figure_or_a_reason(
    metric: Callable[..., Any], a: list[float], b: list[float]
) -> None:
    found = bootstrap(metric, np.array(a), np.array(b), seed=1, resamples=50)
    assert found.n == sum(not math.isnan(x + y) for x, y in zip(a, b, strict=True))
    assert math.isnan(found.value) <= bool(found.why)
    assert math.isnan(found.low) == math.isnan(found.high) == bool(found.why)
    if found.n < 2:
        assert found.why == f"{found.n} of the 2 documents that are needed"


@pytest.mark.parametrize("metric", [spearman, quadratic_kappa, cohen_kappa])
def test_equal_constants_do_not_pass_for_agreement(metric: Callable[..., Any]) -> None:
    # 0.1 has no exact mean: a variance of rounding errors would make a kappa of 1.
    constant = np.full(30, 0.1)
    found = bootstrap(metric, constant, constant, seed=1)
    assert math.isnan(found.value)
    assert found.why == "not defined: all documents have the same value"


def test_an_estimate_is_json_without_nan() -> None:
    assert Estimate(0.123456, -0.5, 1, 7).as_json() == {
        "value": 0.1235,
        "low": -0.5,
        "high": 1,
        "n": 7,
    }
    assert Estimate(math.nan, math.nan, math.nan, 1, "one").as_json() == {
        "value": None,
        "low": None,
        "high": None,
        "n": 1,
        "why": "one",
    }


def test_missing_values_are_left_out_of_value_interval_and_count() -> None:
    random = np.random.default_rng(1)
    a = random.normal(size=60)
    b = a + random.normal(size=60)
    a_more = np.append(a, [math.nan, 3.0])
    b_more = np.append(b, [9.0, math.nan])
    assert bootstrap(spearman, a_more, b_more, seed=4) == bootstrap(spearman, a, b, seed=4)


def test_categories_may_be_names_and_may_be_missing() -> None:
    truth = np.array(["law", "code", "law", "wiki"] * 9 + [None], dtype=object)
    named = np.array(["law", "law", "law", "wiki"] * 9 + ["law"])
    found = bootstrap(cohen_kappa, truth, named, seed=2)
    assert found.n == 36
    assert found.value == pytest.approx(
        oracle.cohen_kappa_score(truth[:36].astype(str), named[:36])
    )
    assert found.low < found.value < found.high


def test_an_interval_holds_the_figure_and_narrows_with_more_documents() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=3_000)
    y = x + random.normal(size=3_000)
    few, many = (bootstrap(spearman, x[:n], y[:n], seed=1) for n in (100, 3_000))
    assert few.low < few.value < few.high
    assert many.low < many.value < many.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # P(N(1, 1) > N(0, 1)) = Φ(1/√2), and Spearman's ρ of a normal with r is 6/π·asin(r/2).
    auc_truth = stats.norm.cdf(math.sqrt(0.5))
    rho_truth = 6 / math.pi * math.asin(0.6 / 2)
    random = np.random.default_rng(5)
    truth = np.repeat([1, 0], 60)
    hits = np.zeros(2)
    for seed in range(200):
        x = random.normal(size=120)
        y = 0.6 * x + 0.8 * random.normal(size=120)
        rank = bootstrap(spearman, x, y, seed=seed, resamples=300)
        two = bootstrap(auc, truth, x + truth, seed=seed, resamples=300, strata=truth)
        hits += rank.low <= rho_truth <= rank.high, two.low <= auc_truth <= two.high
    # 95 % of 200, less what percentiles of 120 documents lack, less three standard errors.
    assert (hits >= 178).all()


def test_equal_input_and_seed_give_equal_figures_whatever_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = np.linspace(0, 1, 40), np.sin(np.arange(40.0))
    first = bootstrap(spearman, a, b, seed=7)
    assert bootstrap(spearman, a, b, seed=7) == first
    assert bootstrap(spearman, a, b, seed=8) != first
    monkeypatch.setattr(agreement_metrics, "CHUNK", 40 * 7)
    assert bootstrap(spearman, a, b, seed=7) == first


def test_a_handful_of_documents_has_a_figure_and_no_interval() -> None:
    x = np.arange(10.0)
    few = bootstrap(spearman, x[:9], x[:9], seed=1)
    assert (few.value, few.n, few.why) == (1, 9, "no interval: 9 documents")
    assert math.isnan(few.low)
    assert bootstrap(spearman, x, x, seed=1).low == 1


def test_strata_keep_their_sizes() -> None:
    truth = np.repeat([1, 0], [3, 50])
    shares = bootstrap(lambda t: t.mean(-1), truth, seed=1, strata=truth)
    assert shares.low == shares.high == shares.value
    names = np.repeat(["rare", "frequent"], [3, 50])
    assert bootstrap(lambda t: t.mean(-1), truth, seed=1, strata=names).low == shares.value


def test_no_interval_where_many_resamples_have_no_figure() -> None:
    truth = np.repeat([1, 0], [1, 40])
    found = bootstrap(auc, truth, np.linspace(1, 0, 41), seed=1)
    assert found.value == 1
    assert math.isnan(found.low)
    # One of 41 documents is not drawn in (40/41)^41 = 36 % of the resamples.
    assert "resamples have no figure" in found.why
    assert bootstrap(auc, truth, np.linspace(1, 0, 41), seed=1, strata=truth).low == 1


def test_figures_may_be_compared_pair_by_pair() -> None:
    random = np.random.default_rng(2)
    gold = random.normal(size=400)
    sharp, blunt = gold + random.normal(size=400) / 2, gold + random.normal(size=400)
    gain = bootstrap(
        lambda g, a, b: spearman(g, a) - spearman(g, b), gold, sharp, blunt, seed=1
    )  # fmt: skip
    assert gain.value == pytest.approx(spearman(gold, sharp) - spearman(gold, blunt))
    assert gain.low > 0


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
