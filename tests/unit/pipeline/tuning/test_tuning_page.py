from __future__ import annotations

import json
import re
from pathlib import Path

from pipeline.manifest import load_manifest
from pipeline.tuning.effects import tune
from pipeline.tuning.measure_run import measure
from pipeline.tuning.tuning_page import tuning_page


def page(path: Path, *overrides: str) -> str:
    return tuning_page(tune(path, overrides, path.parent / "out"))


def test_the_page_holds_everything_and_refers_to_nothing(measured_once: Path) -> None:
    html = page(measured_once, "steps.Sized.least=4")
    assert re.findall(r'<section id="([^"]+)"', html) == [
        "filters",
        "change",
        "rules",
        "filter-sized",
        "filter-trim",
        "sources",
    ]
    assert "<code>steps.Sized.least: 5 → 4</code>" in html
    assert "<code>exact_dedup</code>" in html
    assert html.count("<svg") == 3
    assert "short: nearest to length ≥ 4" in html
    assert "Kept by the overrides (2)" in html
    assert "<script" not in html
    assert "http-equiv" in html


def test_equal_measurements_give_equal_pages(measured_once: Path) -> None:
    assert page(measured_once) == page(measured_once)


def test_without_overrides_nothing_is_compared(measured_once: Path) -> None:
    html = page(measured_once)
    assert 'id="change"' not in html
    assert "The filters keep 4 of 12 documents" in html


def test_hostile_documents_are_shown_and_do_nothing(measured: Path) -> None:
    text = "<script>alert(1)</script>\u202e"
    row = json.dumps({"id": "<b>bold</b>", "text": text * 2})
    (measured.parent / "b1.jsonl").write_text(row + "\n")
    measure(load_manifest(measured, (), measured.parent / "out"))
    html = page(measured)
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "U+202E" in html


def test_long_texts_are_marked_as_cut(measured: Path) -> None:
    row = json.dumps({"id": "long", "text": "y" * 700})
    (measured.parent / "b1.jsonl").write_text(row + "\n")
    measure(load_manifest(measured, (), measured.parent / "out"))
    assert "y" * 500 + " …</blockquote>" in page(measured)


def test_a_corpus_without_documents_has_a_page(measured: Path) -> None:
    for path in measured.parent.glob("*.jsonl"):
        path.write_text("")
    text = measured.read_text().replace("format: jsonl", "format: jsonl, allow_empty: true")
    measured.write_text(text)
    done = measure(load_manifest(measured, (), measured.parent / "out"))
    assert done.results.exit_code == 0
    assert "No document is measured." in page(measured)
