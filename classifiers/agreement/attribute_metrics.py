"""What a labelling step has to say of its labels: the shape that the report's section reads.

Everything is JSON. ``gold`` is what ``against_gold`` gives; ``retest``, ``position``,
``truncation`` and ``other_judge`` are what ``paired_scores`` or ``paired_categories`` give
(first the label as it counts, second the other one); ``injection_probes`` is what ``injections``
gives. Checks that were not made are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np

from classifiers.agreement.against_gold import (
    Groups,
    against_categories,
    against_grades,
    against_two_classes,
    members,
)
from classifiers.agreement.agreement_metrics import DECIMALS, Column, bias, bootstrap

EXCERPT = 600
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
