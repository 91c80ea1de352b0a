"""Report section of a student: how good it is, where its scores lie, its top features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from classifiers.agreement.agreement_charts import Cell, calibration_chart, decimal, estimate_cells
from winnow import Block, Prose, ReportSection, Table

MEANINGS = {
    "spearman": "rank correlation of score and label",
    "quadratic_kappa": "agreement of grades beyond chance, disagreement weighted by its square",
    "accuracy": "share of documents with the label's category",
    "macro_f1": "mean F1 of all labels",
    "cohen_kappa": "agreement of categories beyond chance",
}
# Of categories there may be 26: so many have columns of top features.
SHOWN_LABELS = 8


def sections(label: str, column: str, artifacts: Path) -> Sequence[ReportSection]:
    """One section from the card in ``artifacts``; ``column`` is where the scores are."""
    card = orjson.loads((artifacts / "card.json").read_bytes())
    what = "the expected grade" if card["values"] is not None else "the most probable category"
    lead = (
        f"`{column}` is {what} by a student ({card['student']}) that learned the labels "
        f"`{card['learned_from']}` in this run. Nothing was dropped by it."
    )
    return [ReportSection(label, f"Student {column}, by {label}", list(_blocks(card)), lead)]


def _blocks(card: Mapping[str, Any]) -> Iterator[Block]:
    held_out, values = card["held_out"], card["values"]
    yield _figures(held_out)
    yield calibration_chart(
        "Score and label on held-out documents",
        held_out["calibration"],
        (0, 1) if values is None else (values[0], values[-1]),
        ("mean confidence", "share of right categories")
        if values is None
        else ("mean score", "mean label"),
        "Above the dashed line scores are too low, below it too high.",
    )
    if "thresholds" in card:
        yield _thresholds(card["thresholds"])
    yield _labels(card)
    yield _top_features(card["top_features"])
    yield Prose(_model(card), title="The model")


def _figures(held_out: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = []
    for name, estimate in held_out.items():
        if isinstance(estimate, dict):
            value, between, _ = estimate_cells(estimate)
            meaning = MEANINGS.get(name, f"F1 of grades from {name.rpartition('_')[2]} on")
            rows.append([name.replace("_", " "), value, between, meaning])
    error = decimal(held_out["calibration_error"])
    rows.append(["calibration error", error, None, "mean distance of score and label, bin by bin"])
    note = (
        f"On {held_out['n']:,} labelled documents that the student has not seen. It says how well "
        "the student repeats the labels, not how good these are. Grades are scores cut at the "
        "quantiles that labels have among training documents."
    )
    columns = ["figure", "value", "95 % interval", "what it is"]
    return Table("On held-out documents", columns, rows, note)


def _thresholds(thresholds: Mapping[str, Mapping[str, float]]) -> Table:
    tops = [name for name in thresholds["all"] if name != "n"] if "all" in thresholds else []
    rows: list[list[Cell]] = [
        [language, at["n"], *(decimal(at[top]) for top in tops)]
        for language, at in thresholds.items()
    ]
    note = (
        "The least score of that share of documents, in a sample of those that the student was not "
        "trained on. Scores of two languages do not compare: choose thresholds for each."
    )
    return Table("Thresholds", ["language", "documents", *tops], rows, note)


def _labels(card: Mapping[str, Any]) -> Table:
    counts = card["documents"]
    rows: list[list[Cell]] = [
        [name, f"{share:.1%}".replace("%", " %")] for name, share in card["shares"].items()
    ]
    note = (
        f"{counts['labelled']:,} documents had a label, {counts['sampled']:,} were sampled, "
        f"{counts['distinct']:,} of them are distinct; {counts['trained_on']:,} trained the "
        f"student and {counts['held_out']:,} measured it."
    )
    return Table("Labels it learned", ["label", "share of training"], rows, note)


def _top_features(top_features: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    names = list(top_features)[:SHOWN_LABELS]
    rows: list[list[Cell]] = [
        [cell for entry in entries for cell in _word(entry)]
        for entries in zip_longest(*(top_features[name] for name in names))
    ]
    columns = [column for name in names for column in (name, "weight")]
    note = (
        "Words as the student sees them (lower case, punctuation by itself). Words of a template, "
        "a menu or a file header here mean that it has learned a short cut."
    )
    rest = len(top_features) - len(names)
    return Table("Top features", columns, rows, note + (f" {rest} labels more." if rest else ""))


def _word(entry: Mapping[str, Any] | None) -> list[Cell]:
    return ["", None] if entry is None else [entry["word"], decimal(entry["weight"], 2)]


def _model(card: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in card["settings"].items())
    embedding = card.get("embedding") or {}
    seen = f" On an embedding ({embedding['kind']})." if embedding else ""
    files = "; ".join(f"{name}, sha256 {sha256}" for name, sha256 in card["files"].items())
    return f"{settings}, seed {card['seed']}.{seen} {files}."
