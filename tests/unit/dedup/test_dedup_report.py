from __future__ import annotations

from pathlib import Path
from typing import Any

from dedup.minhash_dedup import MinhashDedup
from pipeline.report.blocks import Prose, Table
from pipeline.report.page import Page, render

STEP = MinhashDedup(ngram=3)


def sections(run_step: Any, rows: list[tuple[str, str]]) -> Any:
    (found,) = STEP.report_sections("dedup-2", Path(), run_step(STEP, [rows]).metrics)
    assert found.title in render(Page("run", "", [], "", [found]))
    return found


def test_what_was_not_compared_and_what_differs_in_numbers_is_in_the_table(run_step: Any) -> None:
    rows = [(str(n), f"road {n} leads to town {n} in an hour") for n in range(3)]
    found = sections(run_step, [*rows, ("same", rows[0][1]), ("short", "a road")])
    assert found.lead == "1 of 5 documents were near duplicates."
    (table,) = (block for block in found.blocks if isinstance(block, Table))
    numbers = {row[0]: row[1] for row in table.rows}
    assert numbers["not compared"] == 1
    assert numbers["pairs that differ in numbers alone"] == 3
    assert numbers["pairs compared"] == 4
    (warning,) = (block for block in found.blocks if isinstance(block, Prose))
    assert (warning.tone, "1 of 5 documents" in warning.text) == ("warning", True)


def test_no_documents_make_a_section_all_the_same(run_step: Any) -> None:
    (table,) = sections(run_step, []).blocks
    assert {row[1] for row in table.rows} == {0}
