"""Report section of a classifier of two classes: how good it is, and its top features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from classifiers.agreement.agreement_charts import Cell, calibration_chart, decimal, interval
from winnow import Block, Prose, ReportSection, Table

SIDES = ("positive", "negative")


def sections(label: str, column: str, artifacts: Path) -> Sequence[ReportSection]:
    """One section from the card in ``artifacts``; ``column`` is where the scores are."""
    card = orjson.loads((artifacts / "card.json").read_bytes())
    held_out = card["held_out"]
    lead = (
        f"`{column}` is the probability that a document is like {_names(card['positive'])} and "
        f"not like {_names(card['negative'])}, by a classifier ({card['student']}) trained in this "
        "run. Nothing was dropped by it."
    )
    return [
        ReportSection(label, f"Score {column}, by {label}", list(_blocks(card, held_out)), lead)
    ]


def _names(sources: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sources)


def _blocks(card: Mapping[str, Any], held_out: Mapping[str, Any]) -> Iterator[Block]:
    yield _figures(held_out)
    yield calibration_chart(
        "Score and truth on held-out documents",
        held_out["calibration"],
        (0, 1),
        ("mean score", "share of positive documents"),
        "Above the dashed line scores are too low, below it too high. Held-out classes are equally "
        "large: among all documents the share of positives is another, and so is the meaning of a "
        "score. Choose thresholds by quantile.",
    )
    yield _documents(card)
    yield _top_features(card["top_features"])
    settings = ", ".join(f"{name} {value}" for name, value in card["settings"].items())
    yield Prose(
        f"{card['library']}: {settings}, seed {card['seed']}. {card['model']['bytes']:,} bytes, "
        f"sha256 {card['model']['sha256']}.",
        title="The model",
    )


def _figures(held_out: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            "AUC",
            decimal(held_out["auc"]),
            interval(*held_out["auc_95"]),
            "how often a positive document scores above a negative one; 0.5 is chance",
        ],
        ["accuracy", decimal(held_out["accuracy"]), None, "share on the right side of 0.5"],
        ["Brier score", decimal(held_out["brier"]), None, "mean squared error of the score"],
        [
            "calibration error",
            decimal(held_out["calibration_error"]),
            None,
            "mean distance of score and truth, bin by bin",
        ],
    ]
    counts = held_out["n"]
    note = (
        f"On {counts['positive']:,} positive and {counts['negative']:,} negative documents that "
        "the classifier has not seen. The interval resamples documents. It says how well the two "
        "classes are separated, not whether the positive ones are better to train on."
    )
    columns = ["figure", "value", "95 % interval", "what it is"]
    return Table("On held-out documents", columns, rows, note)


def _documents(card: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            side,
            ", ".join(card[side]),
            *(card["documents"][side][name] for name in ("found", "sampled", "distinct")),
            card["trained_on"][side],
            card["held_out"]["n"][side],
        ]
        for side in SIDES
    ]
    columns = ["class", "sources", "found", "sampled", "distinct", "trained on", "held out"]
    note = "Distinct documents of one class only; as many of one class as of the other are used."
    return Table("What it learned from", columns, rows, note)


def _top_features(top_features: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    rows: list[list[Cell]] = [
        [cell for entry in pair for cell in _word(entry)]
        for pair in zip_longest(*(top_features[side] for side in SIDES))
    ]
    columns = ["raises the score", "weight", "times", "lowers the score", "weight", "times"]
    note = (
        "Words as the classifier sees them (lower case, punctuation by itself), and how often they "
        "stood in its training documents. Words of a template, a menu or a file header here mean "
        "that it has learned a short cut: filter them out first, or choose other sources. </s> is "
        "the end of a document, which shows its length."
    )
    return Table("Top features", columns, rows, note)


def _word(entry: Mapping[str, Any] | None) -> list[Cell]:
    if entry is None:
        return ["", None, None]
    return [entry["word"], decimal(entry["weight"], 2), entry["frequency"]]
