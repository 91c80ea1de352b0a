"""All figures of a scorer of two classes on documents that it has not seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from classifiers.agreement.agreement_metrics import (
    DECIMALS,
    Column,
    accuracy,
    auc,
    bootstrap,
    brier,
    calibration,
    calibration_error,
)


def evaluate(positive: Column, negative: Column, seed: int) -> dict[str, Any]:
    """Figures from the scores of both classes (P(positive) [n] and [m]), as JSON values.

    The interval of the AUC resamples each class by itself. Where the classes do not overlap it has
    no width: read it beside ``n``. What is not defined is None.
    """
    scores = np.concatenate([positive, negative]).astype(np.float64)
    truth = np.repeat([1, 0], [len(positive), len(negative)])
    area = bootstrap(auc, truth, scores, seed=seed, strata=truth)
    figures = {
        "accuracy": accuracy(truth, (scores > 0.5).astype(np.int64)),
        "brier": brier(truth, scores),
        "calibration_error": calibration_error(truth, scores),
    }
    return {
        "n": {"positive": len(positive), "negative": len(negative)},
        "auc": _rounded(area.value),
        "auc_95": [_rounded(area.low), _rounded(area.high)],
        **{name: _rounded(figure) for name, figure in figures.items()},
        "calibration": calibration(truth, scores),
    }


def _rounded(figure: float) -> float | None:
    return None if math.isnan(figure) else round(float(figure), DECIMALS)
