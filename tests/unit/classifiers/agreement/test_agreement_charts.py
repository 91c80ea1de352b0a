from __future__ import annotations

import numpy as np
import pytest

from classifiers.agreement.agreement_charts import (
    calibration_chart,
    decimal,
    estimate_cells,
    interval,
)
from classifiers.agreement.agreement_metrics import bootstrap, calibration, spearman
from pipeline.report.charts import svg


def test_decimals_have_a_true_minus_and_nothing_stays_nothing() -> None:
    assert decimal(-0.12345) == "−0.123"
    assert decimal(-0.0004) == "0.000"
    assert decimal(2, 1) == "2.0"
    assert decimal(None) is None


def test_an_interval_needs_both_ends() -> None:
    assert interval(-0.25, 0.5, 2) == "−0.25\u00a0to\u00a00.50"
    assert interval(None, 0.5) is None
    assert interval(0.5, None) is None


def test_an_estimate_shows_its_interval_or_why_there_is_none() -> None:
    x = np.arange(30.0)
    known = bootstrap(spearman, x, np.cos(x / 10), seed=1).as_json()
    value, between, n = estimate_cells(known)
    assert value == decimal(known["value"])
    assert between == interval(known["low"], known["high"])
    assert n == 30
    unknown = bootstrap(spearman, x, np.ones(30), seed=1).as_json()
    assert estimate_cells(unknown) == [None, "not defined: all documents have the same value", 30]


@pytest.mark.parametrize("size", [0, 1, 200])
def test_calibration_is_drawn_and_described_in_words(size: int) -> None:
    random = np.random.default_rng(1)
    score = 5 * random.random(size)
    entries = calibration(np.round(score), score, 0, 5, 5)
    chart = calibration_chart("Score and gold", entries, (0, 5), ("mean score", "mean gold"), "n")
    drawing = svg(chart.spec, chart.alt, "x")
    assert "mean gold" in drawing
    assert "mean score" in drawing
    assert sum(entry["n"] for entry in entries) == size
    if not size:
        assert chart.alt == "Score and gold: no documents."
    for entry in entries:
        assert f"{entry['predicted']:.2f} predicted, {entry['truth']:.2f} true" in chart.alt
