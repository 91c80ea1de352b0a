"""How well labels agree: with people, with other labels, with themselves. Each figure exists once.

Every metric works along the last axis of its columns: [..., n] documents give [...] figures, so
that a thousand resamples are one call. Where a figure is not defined (a constant column, a class
without documents, too few documents) it is NaN, without a warning; ``bootstrap`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Metric = Callable[..., Any]

RESAMPLES = 1_000
CONFIDENCE = 0.95
BINS = 10
# Where more resamples than this share have no figure, the others no longer stand for all.
MOST_UNDEFINED = 0.05
# Of fewer documents resamples are too much alike for an interval.
FEWEST = 10
# Whole numbers this close together are counted as they are.
DENSE = 256
# Values of a column drawn at once: 32 MB of them.
CHUNK = 4_000_000
DECIMALS = 4


def _mean_ranks(column: Column) -> Floats:
    """From 1 [..., n]; equal values share the mean of theirs."""
    from scipy.stats import rankdata  # takes a second to import, which no plan should wait for

    ranked: Floats = rankdata(column, axis=-1)
    return ranked


def spearman(a: Column, b: Column) -> Any:
    """Rank correlation of ``a`` and ``b`` [..., n], ties with their mean rank; in [-1, 1]."""
    x, y = (_mean_ranks(column) - (column.shape[-1] + 1) / 2 for column in (a, b))
    return _ratio((x * y).sum(-1), np.sqrt((x * x).sum(-1) * (y * y).sum(-1)))


def quadratic_kappa(a: Column, b: Column) -> Any:
    """Cohen's kappa of grades [..., n] with disagreement weighted by its square (Cohen 1968).

    The expected square of two independent grades follows from their means and variances, so no
    matrix is needed and grades may be any numbers: with fractions it is Lin's concordance (1989).
    """
    # From the first grade on: equal grades then have a variance of exactly nothing.
    x, y = (column.astype(np.float64) - a[..., :1] for column in (a, b))
    expected = _variance(x) + _variance(y) + (_mean(x) - _mean(y)) ** 2
    return 1 - _ratio(_mean((x - y) ** 2), expected)


def cohen_kappa(a: Column, b: Column) -> Any:
    """Agreement of two columns of categories [..., n] beyond what their shares alone would give."""
    same, in_a, in_b = _tallies(a, b)
    n = max(1, a.shape[-1])
    chance = (in_a * in_b).sum(-1) / n**2
    return 1 - _ratio(1 - same.sum(-1) / n, 1 - chance)


def accuracy(truth: Column, predicted: Column) -> Any:
    """Share of documents [..., n] whose two categories (or grades) are equal."""
    return _mean((truth == predicted).astype(np.float64))


def macro_f1(truth: Column, predicted: Column) -> Any:
    """Plain mean of the F1 of each category that occurs in either column [..., n]."""
    same, in_truth, in_predicted = _tallies(truth, predicted)
    occurs = in_truth + in_predicted > 0
    found = np.where(occurs, _ratio(2 * same, in_truth + in_predicted), 0)
    return _ratio(found.sum(-1), occurs.sum(-1))


def f1_at(
    truth: Column, predicted: Column, threshold: float, truth_threshold: float | None = None
) -> Any:
    """F1 of "at least ``threshold``" in ``predicted`` against the same in ``truth`` [..., n].

    ``truth_threshold`` is that of ``truth`` where it differs. NaN where neither has such a
    document.
    """
    positive = truth >= (threshold if truth_threshold is None else truth_threshold)
    named = predicted >= threshold
    return _ratio(2 * (positive & named).sum(-1), positive.sum(-1) + named.sum(-1))


def auc(truth: Column, scores: Column) -> Any:
    """P(a positive scores above a negative), ties counting half: the Mann-Whitney statistic.

    ``truth`` [..., n] is true (or 1) for positives. NaN with one class only.
    """
    positive = truth.astype(np.bool_)
    ranks = _mean_ranks(scores)
    n = positive.sum(-1)
    above = np.where(positive, ranks, 0).sum(-1) - n * (n + 1) / 2
    return _ratio(above, n * (positive.shape[-1] - n))


def mean_absolute_error(truth: Column, predicted: Column) -> Any:
    """Mean |predicted - truth| [..., n], in the unit of the scale."""
    return _mean(np.abs(predicted.astype(np.float64) - truth))


def bias(truth: Column, predicted: Column) -> Any:
    """Mean of predicted - truth [..., n]: above 0 the labels are milder than the truth."""
    return _mean(predicted.astype(np.float64) - truth)


def brier(truth: Column, probabilities: Column) -> Any:
    """Mean squared difference of P(positive) [..., n] and the truth (0 or 1); 0 is best."""
    return _mean((probabilities.astype(np.float64) - truth) ** 2)


def calibration_error(
    truth: Column, predicted: Column, low: float = 0, high: float = 1, bins: int = BINS
) -> Any:
    """Expected calibration error: |mean predicted - mean truth| per bin, weighted by documents.

    ``bins`` equally wide bins of ``predicted`` [..., n] from ``low`` to ``high``; the error is in
    the unit of the scale (Naeini et al. 2015).
    """
    number, keys = _keyed(_bins(predicted, low, high, bins), bins)
    gap = (predicted.astype(np.float64) - truth).reshape(-1)
    sums = np.bincount(keys.reshape(-1), weights=gap, minlength=number * bins)
    return _ratio(
        np.abs(sums).reshape(*predicted.shape[:-1], bins).sum(-1),
        np.full(predicted.shape[:-1], predicted.shape[-1]),
    )


def calibration(
    truth: Column, predicted: Column, low: float = 0, high: float = 1, bins: int = BINS
) -> list[dict[str, float | int]]:
    """Mean predicted beside mean truth per bin of ``predicted`` [n], as JSON values.

    ``low`` and ``high`` of an entry bound its bin. Empty bins and documents with NaN are left out.
    """
    truth, predicted = complete(truth, predicted)
    inside = _bins(predicted, low, high, bins)
    width = (high - low) / bins
    return [
        {
            "low": round(low + number * width, DECIMALS),
            "high": round(low + (number + 1) * width, DECIMALS),
            "n": int((inside == number).sum()),
            "predicted": round(float(predicted[inside == number].mean(dtype=np.float64)), DECIMALS),
            "truth": round(float(truth[inside == number].mean(dtype=np.float64)), DECIMALS),
        }
        for number in np.unique(inside).tolist()
    ]


def grades(scores: Column, low: float, high: float) -> npt.NDArray[np.float64]:
    """Scores [..., n] as whole grades from ``low`` to ``high``: ``round(clip(score))``, halves to
    the even grade as Python rounds them; NaN stays."""
    return np.asarray(np.round(np.clip(scores, low, high)), dtype=np.float64)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval and the number of documents ``n`` that it is of.

    What is not known is NaN, and ``why`` says why.
    """

    value: float
    low: float
    high: float
    n: int
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """``value``, ``low``, ``high`` with four decimals (None for NaN), ``n``, and ``why`` if
        there is anything to say."""
        figures = {"value": self.value, "low": self.low, "high": self.high}
        found: dict[str, Any] = {
            # Adding nothing makes a zero of a negative one.
            name: None if math.isnan(figure) else round(figure, DECIMALS) + 0
            for name, figure in figures.items()
        }
        return {**found, "n": self.n, **({"why": self.why} if self.why else {})}


def bootstrap(
    metric: Metric,
    *columns: Column,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    strata: Column | None = None,
) -> Estimate:
    """``metric(*columns)`` with its percentile bootstrap interval over documents (Efron 1979).

    ``columns`` [n] are resampled together; documents with NaN or None in any are left out and not
    counted. ``strata`` [n] resamples each of its groups by itself (the classes, for ``auc``).
    Columns that are not numbers are categories. Equal input and seed give equal figures.

    A perfect or a hopeless figure has an interval without width, and on few documents intervals
    are too narrow (below 10 there is none): read them beside ``n``.
    """
    one_group = np.zeros(len(columns[0]), dtype=np.int64)
    groups = one_group if strata is None else _numbered(strata)
    *numbers, group = complete(*as_numbers(*columns), groups)
    n = len(numbers[0])
    value = float(metric(*numbers)) if n else math.nan
    if math.isnan(value) or n < 2:
        return Estimate(value if n > 1 else math.nan, math.nan, math.nan, n, _why(numbers))
    if n < FEWEST:
        return Estimate(value, math.nan, math.nan, n, f"no interval: {n} documents")
    random = np.random.default_rng(seed)
    found = np.concatenate(
        [
            np.atleast_1d(metric(*(column[rows] for column in numbers)))
            for rows in _draws(random, n, resamples, group)
        ]
    )
    known = found[~np.isnan(found)]
    if len(known) < (1 - MOST_UNDEFINED) * resamples:
        why = f"no interval: {resamples - len(known)} of {resamples} resamples have no figure"
        return Estimate(value, math.nan, math.nan, n, why)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), n)


def complete(*columns: Column) -> list[Column]:
    """The rows of ``columns`` [n] that have a number in each."""
    bad = np.zeros(len(columns[0]), dtype=np.bool_)
    for column in columns:
        if column.dtype.kind == "f":
            bad |= np.isnan(column)
    return [column[~bad] for column in columns]


def as_numbers(*columns: Column) -> list[Column]:
    """Columns [n] of numbers as they are, others as float codes that they share; None is NaN."""
    kinds = ["biuf".find(column.dtype.kind) >= 0 for column in columns]
    named = [column.tolist() for column, numeric in zip(columns, kinds, strict=True) if not numeric]
    names = sorted({str(value) for values in named for value in values if value is not None})
    codes: dict[Any, float] = {name: float(code) for code, name in enumerate(names)}
    return [
        column
        if numeric
        else np.array(
            [math.nan if value is None else codes[str(value)] for value in column.tolist()],
            dtype=np.float64,
        )
        for column, numeric in zip(columns, kinds, strict=True)
    ]


def _numbered(strata: Column) -> npt.NDArray[np.int64]:
    """Groups numbered from 0; a missing group is a group of its own."""
    known: dict[Any, int] = {}
    values = [None if value != value else value for value in strata.tolist()]
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _draws(
    random: np.random.Generator, n: int, resamples: int, group: Column
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows [some resamples, n] drawn with replacement, a chunk of memory at a time."""
    step = max(1, CHUNK // n)
    members = [np.flatnonzero(group == number) for number in np.unique(group)]
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        yield np.concatenate(
            [own[random.integers(0, len(own), (count, len(own)))] for own in members], axis=1
        )


def _why(columns: list[Column]) -> str:
    n = len(columns[0])
    if n < 2:
        return f"{n} of the 2 documents that are needed"
    if any((column == column[0]).all() for column in columns):
        return "not defined: all documents have the same value"
    return "not defined on these documents"


def _ratio(over: Any, under: Any) -> Any:
    """``over / under``, NaN where ``under`` is 0."""
    over, under = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    out = np.full(np.broadcast_shapes(over.shape, under.shape), np.nan)
    return np.divide(over, under, out=out, where=under != 0)[()]


def _mean(values: Floats) -> Any:
    return _ratio(values.sum(-1), np.full(values.shape[:-1], values.shape[-1]))


def _variance(values: Floats) -> Any:
    centred = values - np.expand_dims(_mean(values), -1)
    return _mean(centred * centred)


def _tallies(a: Column, b: Column) -> list[npt.NDArray[np.int64]]:
    """Per category [..., categories]: documents that have it in both, in ``a``, and in ``b``."""
    codes, kinds = _codes(np.stack([a, b]))
    shape = (*a.shape[:-1], kinds)
    number, keys = _keyed(codes[0], kinds)
    same = (codes[0] == codes[1]).reshape(-1)
    length = number * kinds
    return [
        np.bincount(found, minlength=length).reshape(shape)
        for found in (
            keys.reshape(-1)[same],
            keys.reshape(-1),
            _keyed(codes[1], kinds)[1].reshape(-1),
        )
    ]


def _codes(values: Column) -> tuple[npt.NDArray[np.int64], int]:
    """Categories as numbers from 0, and how many numbers there may be."""
    numbers = values.size and values.dtype.kind in "iuf"
    low, high = (values.min(), values.max()) if numbers else (0, DENSE)
    if high - low < DENSE:
        codes = (values - low).astype(np.int64)
        if (codes + low == values).all():  # whole numbers need no sorting
            return codes, int(high - low) + 1
    names, inverse = np.unique(values, return_inverse=True)
    return inverse.reshape(values.shape), len(names)


def _keyed(codes: npt.NDArray[np.int64], kinds: int) -> tuple[int, npt.NDArray[np.int64]]:
    """How many resamples there are, and codes [..., n] that differ between them too."""
    number = math.prod(codes.shape[:-1])
    return number, codes + kinds * np.arange(number).reshape(*codes.shape[:-1], 1)


def _bins(values: Column, low: float, high: float, bins: int) -> npt.NDArray[np.int64]:
    scaled = (values.astype(np.float64) - low) * (bins / (high - low))
    return np.clip(np.floor(np.nan_to_num(scaled)), 0, bins - 1).astype(np.int64)


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
