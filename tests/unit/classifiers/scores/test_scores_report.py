from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from classifiers.scores.ensemble import Ensemble
from classifiers.scores.group_thresholds import SHOWN_GROUPS
from classifiers.scores.keep import Keep
from pipeline.report.blocks import Chart, Prose, ReportSection, Table
from pipeline.report.charts import svg
from pipeline.report.page import Page, render
from winnow.testing import StepRun, run_global_step

TYPES = {"edu": pa.float32(), "lm": pa.float32(), "topic": pa.large_string()}
ROWS: list[dict[str, Any]] = [
    {"edu": float(n % 10), "lm": float(n % 7), "topic": f"t{n % 3}", "text": "x" * (n % 5)}
    for n in range(100)
]


def section(step: Keep | Ensemble, ran: StepRun, folder: Path) -> ReportSection:
    for name, content in ran.files.items():
        (folder / name).write_bytes(content)
    (found,) = step.report_sections("step-3", folder, ran.metrics)
    assert found.title in render(Page("run", "", [], "", [found]))
    return found


def table(found: ReportSection) -> Table:
    (block,) = (block for block in found.blocks if isinstance(block, Table))
    assert all(len(row) == len(block.columns) for row in block.rows)
    return block


def test_a_row_for_each_group_says_its_threshold_and_what_is_left(tmp_path: Path) -> None:
    step = Keep(column="edu", top="20%", by="topic")
    found = section(step, run_global_step(step, [*ROWS, {"topic": "t9"}], TYPES), tmp_path)
    assert found.lead.startswith("24 of 101 documents were kept by `edu`.")
    rows = {row[0]: row[1:] for row in table(found).rows}
    assert rows["t0"] == [34, 0, 8, 7, "20.6 %", "36.8 %"]
    assert rows["t9"] == [1, 1, None, 0, None, None]
    assert "groups.parquet" not in table(found).note


def test_one_row_where_documents_are_not_grouped(tmp_path: Path) -> None:
    step = Keep(column="edu", rounded_at_least=3)
    (row,) = table(section(step, run_global_step(step, ROWS, TYPES), tmp_path)).rows
    assert row[:5] == ["all documents", 100, 0, pytest.approx(2.5), 70]


def test_many_groups_are_shortened_and_the_rest_is_named(tmp_path: Path) -> None:
    rows = [{"edu": 1.0, "topic": f"t{n}"} for n in range(SHOWN_GROUPS + 7)]
    step = Keep(column="edu", top="20%", by="topic")
    shown = table(section(step, run_global_step(step, rows, TYPES), tmp_path))
    assert len(shown.rows) == SHOWN_GROUPS
    assert "the other 7 are in groups.parquet" in shown.note


def test_buckets_with_the_scores_at_which_their_bins_begin(tmp_path: Path) -> None:
    step = Ensemble(columns=["edu", "lm"], bins=4)
    found = section(step, run_global_step(step, [*ROWS, {}], TYPES), tmp_path)
    assert "2 scores (edu, lm) of 101 documents; 1 have none" in found.lead
    shown = table(found)
    assert shown.columns == ["bucket", "documents", "of text", "edu from", "lm from"]
    assert [row[0] for row in shown.rows] == [3, 2, 1, 0]
    assert sum(int(row[1] or 0) for row in shown.rows) == 100
    assert shown.rows[-1][3:] == [None, None]
    (chart,) = (block for block in found.blocks if isinstance(block, Chart))
    assert "<svg" in svg(chart.spec, chart.alt, "x")
    assert "3 " in chart.alt


def test_no_documents_make_a_section_all_the_same(tmp_path: Path) -> None:
    keep = Keep(column="edu", top="20%")
    assert table(section(keep, run_global_step(keep, [], TYPES), tmp_path)).rows[0][1] == 0
    step = Ensemble(columns=["edu"], bins=2)
    assert len(table(section(step, run_global_step(step, [], TYPES), tmp_path)).rows) == 2


def test_what_is_warned_about_stands_above_the_table(tmp_path: Path) -> None:
    step = Keep(column="edu", top="20%", all_tied="keep")
    found = section(step, run_global_step(step, [{"edu": 2.5}] * 9, TYPES), tmp_path)
    warning = found.blocks[0]
    assert isinstance(warning, Prose)
    assert warning.tone == "warning"
    assert "does not order these documents: all 9 have 2.5" in warning.text
