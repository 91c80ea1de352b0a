"""What the report tells of a student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from classifiers.distill import Distill
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student import Student
from classifiers.students.student_metrics import held_out, thresholds
from pipeline.report.blocks import Chart, Prose, ReportSection, Table
from pipeline.report.page import Page, render

STEP = Distill(labels="edu", column="edu_score")
TEXTS = TextBatch(pa.array([f"page {n}" for n in range(60)], pa.large_string()))


class Known(Student):
    """Gives the labels themselves, a little shifted."""

    def __init__(self, soft: SoftLabels) -> None:
        super().__init__(soft.labels, soft.values, "ab" * 32)
        self.soft = soft

    def outputs(self, texts: TextBatch) -> Any:
        return self.soft.p * 0.9 + 0.1 / len(self.labels)


def card_of(values: tuple[float, ...] | None, labels: tuple[str, ...] = ("0", "1")) -> Any:
    p = np.random.default_rng(1).dirichlet([0.5] * len(labels), 60)
    soft = SoftLabels(labels, values, p)
    student = Known(soft)
    ways = ("high", "low") if values else labels
    word = {"word": "<b>the</b>", "weight": 12.5, "frequency": 9}
    card = {
        "student": "linear",
        "labels": labels,
        "values": values,
        "embedding": {"kind": "fasttext"},
        "settings": {"penalty": 10.0},
        "files": {"model.safetensors": "cd" * 32},
        "learned_from": "edu",
        "seed": 17,
        "documents": {
            **{"labelled": 1_500, "sampled": 1_400, "distinct": 1_300},
            **{"trained_on": 1_200, "held_out": 100},
        },
        "shares": dict.fromkeys(labels, 1 / len(labels)),
        "held_out": held_out(student, TEXTS, soft, soft.shares, 1),
        "top_features": {ways[0]: [word, word], **{way: [word] for way in ways[1:]}},
    }
    if values:
        card["thresholds"] = thresholds(student.score(TEXTS), ["en"] * 40 + [None] * 20)
    return card


def told(card: Any, folder: Path) -> ReportSection:
    (folder / "card.json").write_bytes(orjson.dumps(card))
    (section,) = STEP.report_sections("distill", folder, {})
    return section


def table(section: ReportSection, title: str) -> Table:
    (found,) = (p for p in section.blocks if isinstance(p, Table) and p.title == title)
    return found


def test_a_scale_is_told_with_figures_and_thresholds(tmp_path: Path) -> None:
    card = card_of((0.0, 1.0))
    section = told(card, tmp_path)
    assert "`edu_score` is the expected grade by a student (linear)" in section.lead
    rows = {row[0]: row for row in table(section, "On held-out documents").rows}
    assert list(rows) == [
        *("spearman", "quadratic kappa", "macro f1", "f1 from 1", "calibration error"),
    ]
    figure = card["held_out"]["spearman"]
    assert rows["spearman"][1] == f"{figure['value']:.3f}"
    assert f"{figure['low']:.3f}" in str(rows["spearman"][2])
    assert rows["f1 from 1"][3] == "F1 of grades from 1 on"
    found = table(section, "Thresholds")
    assert [row[:2] for row in found.rows] == [["all", 60], ["en", 40], ["unknown", 20]]
    assert found.columns[2:] == ["top 5%", "top 10%", "top 20%", "top 30%", "top 50%"]
    assert table(section, "Labels it learned").rows[0] == ["0", "50.0 %"]
    assert [type(block) for block in section.blocks].count(Chart) == 1
    (prose,) = (block for block in section.blocks if isinstance(block, Prose))
    assert "penalty 10.0, seed 17. On an embedding (fasttext). model.safetensors" in prose.text


def test_categories_are_told_with_their_own_figures(tmp_path: Path) -> None:
    section = told(card_of(None, ("law", "art", "health")), tmp_path)
    assert "the most probable category" in section.lead
    rows = [row[0] for row in table(section, "On held-out documents").rows]
    assert rows == ["accuracy", "macro f1", "cohen kappa", "calibration error"]
    assert not [p for p in section.blocks if isinstance(p, Table) and p.title == "Thresholds"]
    words = table(section, "Top features")
    assert words.columns == ["law", "weight", "art", "weight", "health", "weight"]
    assert words.rows[1] == ["<b>the</b>", "12.50", "", None, "", None]


def test_words_of_many_categories_are_shortened_and_it_says_so(tmp_path: Path) -> None:
    words = table(told(card_of(None, tuple("abcdefghijkl")), tmp_path), "Top features")
    assert len(words.columns) == 16
    assert words.note.endswith("4 labels more.")


@pytest.mark.parametrize("values", [None, (0.0, 1.0)])
def test_the_page_draws_it_and_escapes_words(
    tmp_path: Path, values: tuple[float, ...] | None
) -> None:
    section = told(card_of(values), tmp_path)
    html = render(Page("run", "", [], "", [section]))
    assert "Student edu_score, by distill" in html
    assert "<b>the</b>" not in html
