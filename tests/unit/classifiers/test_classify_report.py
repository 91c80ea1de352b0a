from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from classifiers.agreement.agreement_metrics import evaluate
from classifiers.classify import Classify
from pipeline.report.blocks import Chart, Prose, ReportSection, Table
from pipeline.report.page import Page, render

STEP = Classify(train={"positive": ["wiki", "edu"], "negative": "code"}, column="good")


def word(name: str, weight: float) -> dict[str, Any]:
    return {"word": name, "weight": weight, "frequency": 1_234}


@pytest.fixture
def card() -> dict[str, Any]:
    return {
        "student": "fasttext",
        "library": "fasttext-numpy2 0.10.4",
        "positive": ["wiki", "edu"],
        "negative": ["code"],
        "settings": {"dim": 16, "epoch": 25},
        "seed": 17,
        "documents": {
            "positive": {"found": 400, "sampled": 300, "distinct": 290},
            "negative": {"found": 350, "sampled": 300, "distinct": 250},
        },
        "trained_on": {"positive": 225, "negative": 225},
        "held_out": evaluate(np.linspace(0.2, 1, 25), np.linspace(0, 0.6, 25), seed=1),
        "top_features": {
            "positive": [word("<b>the</b>", 12.5), word("of", 3)],
            "negative": [word("{", -20.25)],
        },
        "model": {"bytes": 38_400_000, "sha256": "ab" * 32},
    }


def report_of(card: dict[str, Any], folder: Path) -> ReportSection:
    (folder / "card.json").write_bytes(orjson.dumps(card))
    (section,) = STEP.report_sections("classify_2", folder, {})
    return section


def rows_of(section: ReportSection, title: str) -> list[list[Any]]:
    (table,) = (p for p in section.blocks if isinstance(p, Table) and p.title == title)
    return [list(row) for row in table.rows]


def test_the_section_says_what_a_score_is(card: dict[str, Any], tmp_path: Path) -> None:
    section = report_of(card, tmp_path)
    assert (section.anchor, section.title) == ("classify_2", "Score good, by classify_2")
    assert "`good` is the probability" in section.lead
    assert "like `wiki`, `edu` and not like `code`" in section.lead


def test_the_auc_stands_beside_its_interval_and_counts(
    card: dict[str, Any], tmp_path: Path
) -> None:
    section = report_of(card, tmp_path)
    held_out = card["held_out"]
    low, high = held_out["auc_95"]
    assert rows_of(section, "On held-out documents")[0][:3] == [
        "AUC",
        f"{held_out['auc']:.3f}",
        f"{low:.3f}\u00a0to\u00a0{high:.3f}",
    ]
    table = section.blocks[0]
    assert isinstance(table, Table)
    assert table.note.startswith("On 25 positive and 25 negative documents")


def test_counts_lead_from_what_was_found_to_what_was_used(
    card: dict[str, Any], tmp_path: Path
) -> None:
    assert rows_of(report_of(card, tmp_path), "What it learned from") == [
        ["positive", "wiki, edu", 400, 300, 290, 225, 25],
        ["negative", "code", 350, 300, 250, 225, 25],
    ]


def test_telling_words_of_both_sides_stand_side_by_side(
    card: dict[str, Any], tmp_path: Path
) -> None:
    assert rows_of(report_of(card, tmp_path), "Top features") == [
        ["<b>the</b>", "12.50", 1_234, "{", "−20.25", 1_234],
        ["of", "3.00", 1_234, "", None, None],
    ]


def test_every_bin_of_the_calibration_is_in_the_chart(card: dict[str, Any], tmp_path: Path) -> None:
    (chart,) = (p for p in report_of(card, tmp_path).blocks if isinstance(p, Chart))
    bins = card["held_out"]["calibration"]
    assert len(bins) > 5
    assert chart.alt.count(" documents)") == len(bins)


def test_the_model_can_be_told_from_others(card: dict[str, Any], tmp_path: Path) -> None:
    (prose,) = (p for p in report_of(card, tmp_path).blocks if isinstance(p, Prose))
    assert "dim 16, epoch 25, seed 17" in prose.text
    assert "ab" * 32 in prose.text


def test_the_section_can_be_rendered_and_words_are_escaped(
    card: dict[str, Any], tmp_path: Path
) -> None:
    html = render(Page("run", "", [], "", [report_of(card, tmp_path)]))
    assert "&lt;b&gt;the&lt;/b&gt;" in html
    assert "<b>" not in html


def test_a_card_without_an_auc_is_still_told(card: dict[str, Any], tmp_path: Path) -> None:
    card["held_out"] |= {"auc": None, "auc_95": [None, None], "calibration": []}
    section = report_of(card, tmp_path)
    assert rows_of(section, "On held-out documents")[0][1:3] == [None, None]
    assert render(Page("run", "", [], "", [section]))
