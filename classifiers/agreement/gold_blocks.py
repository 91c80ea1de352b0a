"""Tables and charts of labels against a gold set, as the report shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from classifiers.agreement.agreement_charts import confusion_chart
from classifiers.agreement.cells import Cell, calibration_chart, estimate_cells
from winnow import Block, Table

Metrics = Mapping[str, Any]

# What each figure means for a decision.
MEANINGS = {
    "spearman": "do better documents get higher scores? This is what counts for keeping a top "
    "share; published judges of educational value reach about 0.7 with people",
    "quadratic_kappa": "agreement of rounded grades beyond chance; far errors count more",
    "macro_f1": "F1 averaged over labels, rare ones like frequent ones",
    "f1": "precision and recall in one, of a filter that keeps what is at the threshold or above",
    "mean_absolute_error": "distance to the gold grade",
    "bias": "score minus gold: above 0 the judge is milder than people",
    "calibration_error": "distance of score and gold bin by bin: does a 3 mean a 3?",
    "auc": "how often a good document scores above a bad one; 0.5 is chance",
    "accuracy": "share of documents in the right category",
    "cohen_kappa": "agreement of categories beyond chance",
}
NAMES = {
    "spearman": "Spearman",
    "quadratic_kappa": "quadratic kappa",
    "macro_f1": "macro-F1",
    "f1": "F1",
    "mean_absolute_error": "mean error",
    "bias": "bias",
    "calibration_error": "calibration error",
    "auc": "AUC",
    "accuracy": "accuracy",
    "cohen_kappa": "kappa",
}


def gold_blocks(gold: Metrics, labels: Sequence[str], suffix: str) -> Iterator[Block]:
    """Figures, groups, calibration and confusion of ``against_gold``; ``suffix`` ends titles."""
    named = dict(NAMES)
    if "threshold" in gold:
        named["f1"] = f"F1 at {gold['threshold']:g}"
    rows: list[list[Cell]] = [
        [named[name], *estimate_cells(estimate), MEANINGS[name]]
        for name, estimate in gold["overall"].items()
    ]
    missing = f" Gold documents without a label: {gold['missing']:,}." if gold["missing"] else ""
    columns = ["figure", "value", "95 % interval", "documents", "what it tells"]
    note = f"Intervals resample documents.{missing}"
    yield Table(f"Against the gold set{suffix}", columns, rows, note)
    for kind, groups in gold["groups"].items():
        if len(groups) > 1:
            yield _groups(kind, groups, named, suffix, gold["kind"] == "categories")
    if gold.get("calibration"):
        low, high = float(labels[0]), float(labels[-1])
        yield calibration_chart(
            f"Score and gold{suffix}",
            gold["calibration"],
            (low, high),
            ("mean score", "mean gold grade"),
            "On the dashed line a score means what it says. A curve that rises but leaves the line "
            "ranks well: take a top share of documents, not a fixed grade.",
        )
    if "confusion" in gold:
        note = "Rows are gold labels, columns what the judge gave; the diagonal is agreement."
        yield confusion_chart(f"What was taken for what{suffix}", gold["confusion"], note)


def _groups(kind: str, groups: Metrics, named: Metrics, suffix: str, unordered: bool) -> Table:
    figures = list(next(iter(groups.values())))
    rows: list[list[Cell]] = []
    for group, found in groups.items():
        cells = {name: estimate_cells(found[name], 2) for name in figures}
        of_all: list[Cell] = [group, cells[figures[0]][2]]
        rows.append(of_all + [cell for name in figures for cell in cells[name][:2]])
    columns = [kind, "documents", *(head for name in figures for head in (named[name], "95 %"))]
    unlike = "Where an interval does not meet that of the whole set, "
    note = unlike + (
        "labels deserve another measure of trust."
        if unordered
        else f"one threshold for all is unfair to this {kind}: choose thresholds by quantile "
        "within it."
    )
    return Table(f"Against the gold set, by {kind}{suffix}", columns, rows, note)
