"""How far labels agree with a gold set: overall, per source, per length, per language.

Each function takes columns [n], one entry per document that has a gold label, and gives JSON
values: ``overall`` (figure → Estimate), ``groups`` (kind of group → group → figure → Estimate),
``n`` documents with both labels and ``missing`` ones that the judge gave none (NaN or None).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.agreement.agreement_metrics import (
    Column,
    Metric,
    accuracy,
    auc,
    bias,
    bootstrap,
    calibration,
    calibration_error,
    cohen_kappa,
    f1_at,
    grades,
    macro_f1,
    mean_absolute_error,
    quadratic_kappa,
    spearman,
)

Groups = Mapping[str, Column]
# Bytes of UTF-8 at which groups of length begin.
LENGTHS = {0: "under 1 kB", 1_000: "1 to 4 kB", 4_000: "4 to 16 kB", 16_000: "16 kB and more"}
# Groups of one kind with figures of their own, the largest; the others are one group.
MOST_GROUPS = 20
# Each bin of a calibration should have documents enough to mean something.
CALIBRATION_BINS = 10


def length_groups(sizes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
    """Names of the length groups of documents of ``sizes`` [n] bytes."""
    starts, names = list(LENGTHS), np.array(list(LENGTHS.values()))
    return np.asarray(names[np.searchsorted(starts, sizes, side="right") - 1], dtype=np.str_)


def against_grades(
    scores: Column,
    gold: Column,
    groups: Groups,
    scale: Sequence[float],
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    """``scores`` [n] (expectations) against ``gold`` [n], both on ``scale`` (its grades).

    Kappa and macro-F1 are of the scores rounded to grades; F1 is of "at least ``threshold``", the
    score being rounded first as FineWeb-Edu does (Penedo et al. 2024, arXiv 2406.17557).
    """
    low, high = float(min(scale)), float(max(scale))
    scores, gold = scores.astype(np.float64), gold.astype(np.float64)
    rounded = grades(scores, low, high)

    def f1(truth: Column, predicted: Column) -> Any:
        return f1_at(truth, predicted, threshold)

    def error(truth: Column, predicted: Column) -> Any:
        return calibration_error(truth, predicted, low, high, CALIBRATION_BINS)

    overall: dict[str, tuple[Metric, Column]] = {
        "spearman": (spearman, scores),
        "quadratic_kappa": (quadratic_kappa, rounded),
        "macro_f1": (macro_f1, rounded),
        "f1": (f1, rounded),
        "mean_absolute_error": (mean_absolute_error, scores),
        "bias": (bias, scores),
        "calibration_error": (error, scores),
    }
    in_groups = ("spearman", "quadratic_kappa", "bias")
    return {
        "kind": "grades",
        "threshold": threshold,
        **_figures(gold, overall, in_groups, groups, seed),
        "calibration": calibration(gold, scores, low, high, CALIBRATION_BINS),
        "confusion": _confusion(gold, rounded, [float(value) for value in scale]),
    }


def against_two_classes(
    scores: Column, gold: Column, groups: Groups, threshold: float, seed: int
) -> dict[str, Any]:
    """``scores`` [n] of any scale against ``gold`` [n] of 0 and 1 (bad and good, say).

    F1 is of "at least ``threshold``" against 1, the score not rounded.
    """
    scores, gold = scores.astype(np.float64), gold.astype(np.float64)

    def f1(truth: Column, predicted: Column) -> Any:
        return f1_at(truth, predicted, threshold, truth_threshold=1)

    overall: dict[str, tuple[Metric, Column]] = {
        "auc": (auc, scores),
        "spearman": (spearman, scores),
        "f1": (f1, scores),
    }
    in_groups = ("auc", "f1")
    found = _figures(gold, overall, in_groups, groups, seed, stratified=True)
    return {"kind": "two_classes", "threshold": threshold, **found}


def against_categories(
    predicted: Column, gold: Column, groups: Groups, categories: Sequence[str], seed: int
) -> dict[str, Any]:
    """``predicted`` [n] against ``gold`` [n], both names of ``categories`` or None."""
    names: dict[Any, float] = {name: float(code) for code, name in enumerate(categories)}
    codes = [
        np.array([names.get(value, np.nan) for value in column.tolist()], dtype=np.float64)
        for column in (predicted, gold)
    ]
    overall: dict[str, tuple[Metric, Column]] = {
        "accuracy": (accuracy, codes[0]),
        "cohen_kappa": (cohen_kappa, codes[0]),
        "macro_f1": (macro_f1, codes[0]),
    }
    found = _figures(codes[1], overall, ("accuracy", "cohen_kappa"), groups, seed)
    confusion = _confusion(codes[1], codes[0], list(range(len(categories))))
    return {"kind": "categories", **found, "confusion": {**confusion, "labels": list(categories)}}


def _figures(
    gold: Column,
    metrics: Mapping[str, tuple[Metric, Column]],
    in_groups: Sequence[str],
    groups: Groups,
    seed: int,
    stratified: bool = False,
) -> dict[str, Any]:
    """Every metric overall and those ``in_groups`` per group, with how many documents count."""

    def figures(rows: npt.NDArray[np.bool_], names: Sequence[str]) -> dict[str, Any]:
        strata = gold[rows] if stratified else None
        return {
            name: bootstrap(metric, gold[rows], values[rows], seed=seed, strata=strata).as_json()
            for name, (metric, values) in metrics.items()
            if name in names
        }

    everything = np.ones(len(gold), dtype=np.bool_)
    labelled = ~np.isnan(next(iter(metrics.values()))[1])
    known = ~np.isnan(gold)
    return {
        "n": int((labelled & known).sum()),
        "missing": int((~labelled & known).sum()),
        "overall": figures(everything, list(metrics)),
        "groups": {
            kind: {
                name: figures(rows, in_groups) for name, rows in members(column, labelled & known)
            }
            for kind, column in groups.items()
        },
    }


def members(
    column: Column, counted: npt.NDArray[np.bool_]
) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Groups with their documents [n], the largest first (groups of length in their order)."""
    names = np.array(["unknown" if value is None else str(value) for value in column.tolist()])
    sizes = Counter(names[counted].tolist())
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    if set(ranked) <= set(LENGTHS.values()):
        ranked = [name for name in LENGTHS.values() if name in sizes]
    shown, rest = ranked[:MOST_GROUPS], ranked[MOST_GROUPS:]
    members = [(name, names == name) for name in shown]
    if rest:
        members.append((f"{len(rest)} others", np.isin(names, rest)))
    return members


def _confusion(gold: Column, predicted: Column, labels: Sequence[float]) -> dict[str, Any]:
    """``counts[i][j]``: documents of gold label i that were given label j; others left out."""
    counts = [
        [int(((gold == truth) & (predicted == given)).sum()) for given in labels]
        for truth in labels
    ]
    return {"labels": [f"{label:g}" for label in labels], "counts": counts}
