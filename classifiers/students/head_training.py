"""How heads learn soft labels: penalties are chosen by cross-validation on training documents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from classifiers.students.heads import Head
from classifiers.students.soft_labels import SoftLabels

Rows = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

RIDGE_PENALTIES = tuple(10.0**power for power in np.arange(-2, 5.5, 0.5))
LOGISTIC_PENALTIES = tuple(10.0**power for power in range(-2, 4))
MLP_PENALTIES = (1.0, 10.0, 100.0, 1_000.0)
FOLDS = 5
# Penalties are chosen on so many documents at most, and hold for more: by folds, and by ridge,
# which needs none.
CHOOSE_ON, RIDGE_ON = 1_000, 20_000
# L-BFGS stops here even if it could go on: another form of restraint.
STEPS = 200
# Labels less probable than this are left out where a document is learned once for each label.
LEAST_PROBABLE = 0.01
SCARCELY = 1e-3


@dataclass(frozen=True)
class Fitted:
    """A trained head, and the penalty on its squared weights."""

    head: Head
    penalty: float


def train_head(
    features: npt.NDArray[Any], soft: SoftLabels, kind: str, hidden: int, seed: int
) -> Fitted:
    """A ``linear`` or ``mlp`` head (one layer of ``hidden`` units) from ``features`` [n, dim].

    Of a scale by least squares on the probabilities of all grades, which makes the expected grade
    the score. Of categories by cross-entropy against the probabilities. One thread, so that equal
    documents give equal bytes.
    """
    mean, spread = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    mean, scale = mean.astype(np.float32), scale.astype(np.float32)
    x = ((features - mean) * scale).astype(np.float64)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if soft.values is None:
            penalty, layers = _categories(x, soft, kind, hidden, seed)
        else:
            penalty, layers = _scale(x, soft, kind, hidden, seed)
    weights = tuple(np.ascontiguousarray(w, dtype=np.float32) for w, _ in layers)
    biases = tuple(np.ascontiguousarray(b, dtype=np.float32) for _, b in layers)
    return Fitted(Head(mean, scale, weights, biases, softmax=soft.values is None), penalty)


Layers = list[tuple[Rows, Rows]]


def _scale(x: Rows, soft: SoftLabels, kind: str, hidden: int, seed: int) -> tuple[float, Layers]:
    if kind == "linear":
        some = np.random.default_rng(seed).permutation(len(x))[:RIDGE_ON]
        chosen = RidgeCV(alphas=RIDGE_PENALTIES).fit(x[some], soft.expected[some])
        penalty = float(chosen.alpha_)
        ridge = Ridge(alpha=penalty).fit(x, soft.p)
        return penalty, [_adding_up(ridge.coef_.T, ridge.intercept_)]

    def fit(rows: Index, penalty: float) -> MLPRegressor:
        return _perceptron(MLPRegressor, hidden, penalty, seed).fit(x[rows], soft.p[rows])

    def loss(model: MLPRegressor, rows: Index) -> float:
        expected = model.predict(x[rows]) @ np.array(soft.values)
        return float(((expected - soft.expected[rows]) ** 2).sum())

    penalty = _chosen(MLP_PENALTIES, len(x), seed, fit, loss)
    model = fit(np.arange(len(x)), penalty)
    *layers, last = zip(model.coefs_, model.intercepts_, strict=True)
    return penalty, [*layers, _adding_up(*last)]


def _adding_up(weights: Rows, bias: Rows) -> tuple[Rows, Rows]:
    """The last layer nearest to this one whose outputs add up to 1 whatever its input is."""
    return weights - weights.mean(1, keepdims=True), bias - (bias.sum() - 1) / len(bias)


def _categories(
    x: Rows, soft: SoftLabels, kind: str, hidden: int, seed: int
) -> tuple[float, Layers]:
    least = min(LEAST_PROBABLE, 1 / len(soft.labels))
    met = np.flatnonzero((soft.p >= least).any(0))

    def fit(rows: Index, penalty: float) -> Any:
        # A document is learned once for each label, weighted by its probability.
        row, label = np.nonzero(soft.p[rows] >= least)
        weight = soft.p[rows][row, label]
        # An average document of each label, which hardly counts: so every fold meets them all.
        seen = np.vstack([x[rows][row], np.zeros((len(met), x.shape[1]))])
        label, weight = np.append(label, met), np.append(weight, [SCARCELY] * len(met))
        if kind == "linear":
            model = LogisticRegression(C=1 / penalty, max_iter=STEPS)
        else:
            model = _perceptron(MLPClassifier, hidden, penalty, seed)
        return model.fit(seen, label, sample_weight=weight)

    def loss(model: Any, rows: Index) -> float:
        p = np.full((len(rows), len(soft.labels)), 1e-6)
        p[:, model.classes_] = np.clip(model.predict_proba(x[rows]), 1e-6, None)
        return float(-(soft.p[rows] * np.log(p)).sum())

    penalties = LOGISTIC_PENALTIES if kind == "linear" else MLP_PENALTIES
    penalty = _chosen(penalties, len(x), seed, fit, loss)
    model = fit(np.arange(len(x)), penalty)
    linear = [(model.coef_.T, model.intercept_)] if kind == "linear" else None
    layers = linear or list(zip(model.coefs_, model.intercepts_, strict=True))
    return penalty, [*layers[:-1], _widened(*layers[-1], model.classes_, len(soft.labels))]


def _widened(weights: Rows, bias: Rows, classes: Index, labels: int) -> tuple[Rows, Rows]:
    """A last layer with a column for each of ``labels``, of which training met ``classes``."""
    if len(classes) == 2 and weights.shape[1] == 1:  # the log-odds of the second
        weights, bias = np.hstack([np.zeros_like(weights), weights]), np.append(0.0, bias)
    wide = np.zeros((len(weights), labels)), np.full(labels, -30.0)
    wide[0][:, classes], wide[1][classes] = weights, bias
    return wide


def _perceptron(model: type[Any], hidden: int, penalty: float, seed: int) -> Any:
    return model(
        hidden_layer_sizes=(hidden,),
        solver="lbfgs",
        alpha=penalty,
        max_iter=STEPS,
        random_state=seed,
    )


def _chosen(
    penalties: Sequence[float],
    n: int,
    seed: int,
    fit: Callable[[Index, float], Any],
    loss: Callable[[Any, Index], float],
) -> float:
    """The penalty with the least ``loss`` on documents that ``fit`` has not seen, the larger one of
    equals."""
    rows = np.random.default_rng(seed).permutation(n)[:CHOOSE_ON]
    folds = np.array_split(rows, min(FOLDS, len(rows)))
    losses = [
        sum(
            loss(fit(np.concatenate(folds[:number] + folds[number + 1 :]), penalty), folds[number])
            for number in range(len(folds))
        )
        for penalty in penalties
    ]
    least = min(losses)
    return max(p for p, found in zip(penalties, losses, strict=True) if found == least)
