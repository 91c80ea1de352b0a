"""How good a student is on documents it has not seen, and where its scores lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.agreement.agreement_metrics import (
    DECIMALS,
    accuracy,
    bootstrap,
    calibration,
    calibration_error,
    cohen_kappa,
    f1_at,
    macro_f1,
    quadratic_kappa,
    spearman,
)
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import Floats, SoftLabels
from classifiers.students.student import Student

TOP = (0.05, 0.1, 0.2, 0.3, 0.5)
# Languages of fewer documents have no thresholds of their own.
LEAST_OF_A_LANGUAGE = 20


def cuts(scores: npt.NDArray[Any], shares: Floats) -> Floats:
    """The least score [grades - 1] of each grade but the lowest, so that grades are as frequent
    among ``scores`` [n] as ``shares`` [grades] say.

    Expected grades crowd in the middle of a scale: rounding them would leave its ends empty.
    """
    below = np.clip(np.cumsum(shares)[:-1], 0, 1)
    return np.asarray(np.quantile(scores.astype(np.float64), below, method="higher"))


def graded(scores: npt.NDArray[Any], at: Floats, values: Sequence[float]) -> Floats:
    """The grade of each score [n]: that of the last of the cuts ``at`` that it reaches."""
    reached = (scores[:, None] >= at[None]).sum(1)
    return np.asarray(np.array(values)[reached])


def nearest(numbers: Floats, values: Sequence[float]) -> Floats:
    """The grade nearest to each number [n], the higher one of equals."""
    middles = (np.array(values)[1:] + np.array(values)[:-1]) / 2
    return np.asarray(np.array(values)[np.searchsorted(middles, numbers, side="right")])


def middle(values: Sequence[float]) -> float:
    """The lowest grade of the upper half of a scale: F1 is of the documents from there on."""
    half = (values[0] + values[-1]) / 2
    return next(value for value in values if value > half)


def of_scores(
    truth: Floats, scores: npt.NDArray[Any], grades: Floats, values: Sequence[float], seed: int
) -> dict[str, Any]:
    """Figures of a student of a scale with 95 % bootstrap intervals, as JSON values.

    ``truth`` [n] are expected grades by the labels, ``scores`` [n] the student's, and ``grades``
    [n] what they come to.
    """
    label_grades = nearest(truth, values)
    upper = middle(values)

    def f1(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Any:
        return f1_at(one, other, upper)

    return {
        "spearman": bootstrap(spearman, truth, scores.astype(np.float64), seed=seed).as_json(),
        "quadratic_kappa": bootstrap(quadratic_kappa, label_grades, grades, seed=seed).as_json(),
        "macro_f1": bootstrap(macro_f1, label_grades, grades, seed=seed).as_json(),
        f"f1_from_{upper:g}": bootstrap(f1, label_grades, grades, seed=seed).as_json(),
    }


def held_out(
    student: Student, texts: TextBatch, soft: SoftLabels, shares: Floats, seed: int
) -> Any:
    """All figures of a student on documents [n] it has not seen, as JSON values.

    ``shares`` [labels] are how frequent labels are among those it was trained on: scores become
    grades by the quantiles of these documents' scores, for which their labels are not looked at.
    """
    if soft.values is None:
        return _of_categories(student, texts, soft, seed)
    scores = student.score(texts)
    at = cuts(scores, shares)
    grades = graded(scores, at, soft.values)
    low, high = soft.values[0], soft.values[-1]
    return {
        "n": len(soft),
        **of_scores(soft.expected, scores, grades, soft.values, seed),
        "cuts": [round(float(cut), DECIMALS) for cut in at],
        "calibration_error": _rounded(calibration_error(soft.expected, scores, low, high)),
        "calibration": calibration(soft.expected, scores, low, high),
    }


def _of_categories(
    student: Student, texts: TextBatch, soft: SoftLabels, seed: int
) -> dict[str, Any]:
    p = student.probabilities(texts)
    truth, found, confidence = soft.best, p.argmax(1), p.max(1)
    right = (truth == found).astype(np.float64)
    return {
        "n": len(soft),
        "accuracy": bootstrap(accuracy, truth, found, seed=seed).as_json(),
        "macro_f1": bootstrap(macro_f1, truth, found, seed=seed).as_json(),
        "cohen_kappa": bootstrap(cohen_kappa, truth, found, seed=seed).as_json(),
        "calibration_error": _rounded(calibration_error(right, confidence)),
        "calibration": calibration(right, confidence),
    }


def thresholds(
    scores: npt.NDArray[Any], languages: Sequence[str | None]
) -> dict[str, Mapping[str, float]]:
    """The score from which on the top 5, 10, 20, 30 and 50 % of documents [n] are, for ``all`` and
    by language, with the number ``n`` that this is of."""
    names = np.array([name or "unknown" for name in languages], dtype=object)
    found: dict[str, Mapping[str, float]] = {}
    for name in sorted(set(names.tolist())):
        chosen = scores[names == name]
        if len(chosen) >= LEAST_OF_A_LANGUAGE:
            found[name] = _tops(chosen)
    return {"all": _tops(scores), **found} if len(scores) else {}


def _tops(scores: npt.NDArray[Any]) -> dict[str, float]:
    tops = np.quantile(scores.astype(np.float64), [1 - top for top in TOP], method="higher")
    named = {f"top {top:.0%}": _rounded(at) for top, at in zip(TOP, tops, strict=True)}
    return {"n": len(scores), **named}


def _rounded(value: Any) -> float:
    return round(float(value), DECIMALS)
