from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.report.blocks import Table
from pipeline.tuning import effect_tables
from pipeline.tuning.effects import TuningResult, tune


def tuned(path: Path, *overrides: str) -> TuningResult:
    return tune(path, overrides, path.parent / "out")


def rows(table: Table) -> list[dict[str, object]]:
    return [
        {
            name: cell.replace("\u00a0", " ") if isinstance(cell, str) else cell
            for name, cell in zip(table.columns, row, strict=True)
        }
        for row in table.rows
    ]


def test_filters_tell_what_they_remove_and_what_they_remove_alone(measured_once: Path) -> None:
    sized, trim, loud = rows(effect_tables.filters(tuned(measured_once)))
    assert sized == {
        "Filter": "Sized",
        "Removes": 6,
        "Share": "50.0 %",
        "Text": "78 B",
        "Of all text": "44.3 %",
        "Alone": 6,
        "Text alone": "78 B",
        "In order": 6,
    }
    assert (trim["Removes"], trim["Alone"], trim["In order"]) == (1, 1, 1)
    assert (loud["Removes"], loud["Text"]) == (1, "5 B")


def test_changes_are_shown_beside_what_is_removed(measured_once: Path) -> None:
    found = tuned(measured_once, "steps.Sized.least=4")
    sized, trim, _ = rows(effect_tables.filters(found))
    assert (sized["Removes"], sized["Change"]) == (4, "−2")
    assert trim["Change"] == "0"
    short, long, *_ = rows(effect_tables.rules(found))
    assert (short["Stays"], short["Was"], short["Change"]) == ("≥ 4", "≥ 5", "−2")
    assert (long["Stays"], long["Was"], long["Change"]) == ("≤ 40", "", "")
    web = {row["Source"]: row["Change"] for row in rows(effect_tables.sources(found))}
    assert web == {"a": "+2", "b": "0"}


def test_rules_that_are_turned_off_or_on_are_listed(measured_once: Path) -> None:
    found = tuned(measured_once, "steps.Sized.most=null")
    gone = next(row for row in rows(effect_tables.rules(found)) if row["Rule"] == "long")
    assert (gone["Stays"], gone["Was"], gone["Removes"], gone["Change"]) == ("off", "≤ 40", 0, "−1")


def test_rules_have_documents_that_only_they_remove(measured_once: Path) -> None:
    found = {row["Rule"]: row for row in rows(effect_tables.rules(tuned(measured_once)))}
    assert found["short"]["Removes"] == 4
    assert found["short"]["Alone"] == 3, "one of the short ones is all of one letter"
    assert found["letter"]["Removes"] == 2
    assert found["loud"]["Signal"] == ""


def test_overlap_counts_documents_of_both(measured_once: Path) -> None:
    found = tuned(measured_once, "steps.Trim.most=0")
    sized = rows(effect_tables.overlap(found))[0]
    assert sized == {"Filter": "Sized", "Sized": 6, "Trim": 5, "Loud": 0}


def test_sources_add_up(measured_once: Path) -> None:
    found = rows(effect_tables.sources(tuned(measured_once)))
    assert [(row["Source"], row["Documents"], row["Kept"]) for row in found] == [
        ("a", 9, 3),
        ("b", 3, 1),
    ]
    assert found[0]["By Sized"] == "44.4 %"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "The filters keep 4 of 12 documents (34.1 % of the text)."),
        (
            ["steps.Sized.least=4"],
            "keeps 2 more documents (+8 B of text): 6 of 12 documents (38.6 % of the text)",
        ),
        (["steps.Sized.most=41"], "keeps as many documents (the same amount of text): 4 of 12"),
        (["steps.Sized.least=13"], "keeps 1 fewer document (−12 B of text): 3 of 12"),
        (
            ["steps.Sized.least=4", "steps.Trim.most=2"],
            "keeps as many documents (−26 B of text; 2 come in and 2 go out): 4 of 12",
        ),
    ],
)
def test_the_headline_compares_with_the_manifest(
    measured_once: Path, overrides: list[str], expected: str
) -> None:
    shown = effect_tables.headline(tuned(measured_once, *overrides)).replace("\u00a0", " ")
    assert shown.startswith(expected)
