"""How well scores tell two classes apart, each figure with what is needed to doubt it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
BINS = 10
RESAMPLES = 1_000


def auc(positive: Floats, negative: Floats) -> float:
    """P(a positive scores above a negative), ties counting half: the Mann-Whitney statistic.

    ``positive`` [n] and ``negative`` [m] are scores of the two classes, neither empty.
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def auc_interval(
    positive: Floats, negative: Floats, seed: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``auc``; each class is resampled by itself.

    Where the classes do not overlap it has no width: read it beside the number of documents.
    """
    random = np.random.default_rng(seed)
    draws = [
        auc(random.choice(positive, len(positive)), random.choice(negative, len(negative)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def calibration(scores: Floats, positive: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Mean score beside the share of positives, in ten equally wide bins of the score.

    ``scores`` [n] are probabilities; ``positive`` [n] says which are. Empty bins are left out.
    """
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return {
        f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}": {
            "n": int((bins == number).sum()),
            "score": round(float(scores[bins == number].mean()), 4),
            "positive": round(float(positive[bins == number].mean()), 4),
        }
        for number in np.unique(bins).tolist()
    }


def evaluate(positive: Floats, negative: Floats, seed: int) -> dict[str, Any]:
    """All figures of a binary scorer on documents it has not seen, as JSON values."""
    scores = np.concatenate([positive, negative]).astype(np.float64)
    truth = np.repeat([True, False], [len(positive), len(negative)])
    low, high = auc_interval(positive, negative, seed)
    return {
        "n": {"positive": len(positive), "negative": len(negative)},
        "auc": round(auc(positive, negative), 4),
        "auc_95": [round(low, 4), round(high, 4)],
        "accuracy": round(float(((scores > 0.5) == truth).mean()), 4),
        "brier": round(float(((scores - truth) ** 2).mean()), 4),
        "calibration": calibration(scores, truth),
    }
