"""An attribute's labels in figures, as JSON: their spread, and how far they agree with people.

``gold`` is what ``against_gold`` gives; ``retest``, ``position``, ``truncation`` and
``other_judge`` are what ``paired_scores`` or ``paired_categories`` give (first the label as it
counts, second the other one); ``injection_probes`` is what ``injections`` gives. Checks that were
not made are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from classifiers.agreement.agreement_metrics import (
    DECIMALS,
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


EXCERPT = 600
# The same model answers within about 0.01 of itself: closer values order nothing.
SAME = 0.01
FEWEST_TIED = 10  # documents from which on equal answers are no accident
# Figures that say whether there is any agreement with gold labels, and their value without it.
CHANCE = {"spearman": 0.0, "auc": 0.5, "cohen_kappa": 0.0}
BINS_PER_GRADE = 4


class Disagreement(TypedDict):
    """A gold document that the judge labelled otherwise; ``text`` is its beginning."""

    id: str
    source: str
    text: str
    gold: str
    given: str


class _Labelled(TypedDict):
    labels: list[str]  # of the scale in rising order, or names of the categories
    ordered: bool  # a scale, whose labels are numbers
    asked: int  # documents of the sample
    labelled: int  # those that got a label
    spread: dict[str, Any]  # ``spread``


class AttributeMetrics(_Labelled, total=False):
    """One attribute of the rubric."""

    tied: bool  # the judge answers alike whatever the document
    gold: dict[str, Any]
    disagreements: list[Disagreement]
    retest: dict[str, Any]
    position: dict[str, Any]
    truncation: dict[str, Any]
    other_judge: dict[str, Any]
    injection_probes: list[dict[str, Any]]


class _Judged(TypedDict):
    judge: str  # model and revision, for people
    rubric: str  # its name and version
    attributes: dict[str, AttributeMetrics]


class AgreementMetrics(_Judged, total=False):
    """All of a step's section."""

    other_judge: str


def against_gold(
    given: Column,
    gold: Column,
    groups: Groups,
    labels: Sequence[str],
    ordered: bool,
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    """The figures that suit: categories by name; on a scale, gold grades, or gold of two classes
    (0 and 1) where the scale goes further than 1. Columns [n]; see ``against_gold``."""
    if not ordered:
        return against_categories(given, gold, groups, labels, seed)
    if two_classes(gold, labels):
        return against_two_classes(given, gold, groups, threshold, seed)
    return against_grades(given, gold, groups, [float(x) for x in labels], threshold, seed)


def two_classes(gold: Column, labels: Sequence[str]) -> bool:
    """Whether ``gold`` [n] says bad (0) or good (1) while the scale of ``labels`` says more."""
    known = gold.astype(np.float64)
    known = known[~np.isnan(known)]
    return float(labels[-1]) > 1 and bool(len(known)) and bool(np.isin(known, (0, 1)).all())


def spread(
    given: Column, sources: Column, labels: Sequence[str], ordered: bool, seed: int
) -> dict[str, Any]:
    """How labels are distributed per source: ``bins`` (names or lower ends), ``sources`` → counts
    per bin, and for a scale ``means`` → Estimate. ``given`` [n] are scores or categories; NaN and
    None are left out."""
    if not ordered:
        known = np.array([value is not None for value in given.tolist()], dtype=np.bool_)
        counts = {
            name: [int((given[rows & known] == label).sum()) for label in labels]
            for name, rows in members(sources, known)
        }
        return {"bins": list(labels), "sources": counts}
    scores = given.astype(np.float64)
    known = ~np.isnan(scores)
    low, high = float(labels[0]), float(labels[-1])
    bins = max(1, round((high - low) * BINS_PER_GRADE))
    edges = np.linspace(low, high, bins + 1)
    groups = members(sources, known)
    return {
        "bins": [round(float(edge), DECIMALS) for edge in edges[:-1]],
        "width": round((high - low) / bins, DECIMALS),
        "sources": {
            name: np.histogram(np.clip(scores[rows & known], low, high), edges)[0].tolist()
            for name, rows in groups
        },
        "means": {
            name: bootstrap(bias, np.zeros(int(rows.sum())), scores[rows], seed=seed).as_json()
            for name, rows in groups
        },
    }


def disagreements(
    ids: Sequence[str],
    sources: Sequence[str],
    texts: Sequence[str],
    gold: Column,
    given: Column,
    labels: Sequence[str],
    ordered: bool,
    count: int = 6,
) -> list[Disagreement]:
    """The documents [n] on which gold and judge are furthest apart, the furthest first, equals by
    id. Gold of two classes stands for the ends of the scale; categories are apart or not."""
    if ordered:
        truth, scores = gold.astype(np.float64), given.astype(np.float64)
        if two_classes(gold, labels):
            low, high = float(labels[0]), float(labels[-1])
            truth = low + truth * (high - low)
        apart = np.nan_to_num(np.abs(scores - truth))
    else:
        pairs = zip(gold.tolist(), given.tolist(), strict=True)
        apart = np.array([float(None not in pair and pair[0] != pair[1]) for pair in pairs])
    order = sorted(range(len(ids)), key=lambda row: (-apart[row], ids[row]))
    return [
        Disagreement(
            id=ids[row],
            source=sources[row],
            text=texts[row][:EXCERPT] + ("…" if len(texts[row]) > EXCERPT else ""),
            gold=_formatted(gold[row]),
            given=_formatted(given[row]),
        )
        for row in order[:count]
        if apart[row] > 0
    ]


def _formatted(label: Any) -> str:
    return label if isinstance(label, str) else f"{float(label):.4g}"


def is_tied(values: Column) -> bool:
    """Whether ``values`` [n] or [n, labels] are the same for all of 10 documents or more, within
    0.01: scores of a scale, probabilities of categories. Rows with NaN are left out."""
    rows = (values if values.ndim == 2 else values[:, None]).astype(np.float64)
    known = rows[~np.isnan(rows).any(axis=1)]
    return len(known) >= FEWEST_TIED and bool((np.ptp(known, axis=0) <= SAME).all())


def warnings_about(name: str, metrics: AttributeMetrics) -> list[str]:
    """What a reader must know of the attribute's labels before relying on them, as sentences."""
    found = []
    if metrics.get("tied"):
        found.append(
            f"the judge answers alike about every document (`{name}`): its labels order nothing"
        )
    if (gold := metrics.get("gold")) is not None:
        figures = gold["overall"]
        figure = "cohen_kappa" if gold["kind"] == "categories" else next(iter(figures))
        estimate, chance = figures[figure], CHANCE[figure]
        shown = estimate["low"] is None or estimate["low"] > chance
        if not shown or (estimate["value"] is None and gold["n"] >= FEWEST_TIED):
            found.append(
                f"agreement of `{name}` with {gold['n']:,} gold labels may be no more than chance"
            )
    return found
