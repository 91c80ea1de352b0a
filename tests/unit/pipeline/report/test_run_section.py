"""The section on the run itself, in real small runs."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from small_runs import MANIFEST, load, small_project

from pipeline.engine.run import load_results, run
from pipeline.manifest import load_manifest
from pipeline.report.run_section import manifest_text


def section_of(folder: Path) -> str:
    """The section as text, in one line."""
    html = (folder / "out" / "report.html").read_text().split('<section id="run"')[1]
    text = unescape(re.sub("<[^>]+>", " ", html.split("</section>")[0]))
    return " ".join(text.replace("\u00a0", " ").split())


def test_a_run_names_its_manifest_machine_and_versions(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    run(load(path, "steps.Short.least=4"))
    text = section_of(tmp_path)
    results = load_results(tmp_path / "out")
    assert f"manifest {path}" in text
    assert f"output {tmp_path / 'out'}" in text
    machine = results.environment
    for value in (machine.system, machine.processor, f"Python {machine.python}"):
        assert value in text
    assert f"numpy {machine.packages['numpy']}" in text
    assert "short.py:Short: least: 4" in text, "the manifest holds the override"
    assert "Since the run of" not in text


def test_a_second_run_shows_what_differs_from_the_first(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    run(load(path))
    started = load_results(tmp_path / "out").started
    run(load(path, "steps.Short.least=14", "seed=8"))
    text = section_of(tmp_path)
    assert f"Since the run of {started}" in text
    assert "documents kept 3 0" not in text
    assert "steps.Short.least: 5 → 14" in text
    assert "seed: 7 → 8" in text
    banner = (tmp_path / "out" / "report.html").read_text().split("</header>")[0]
    last = load_results(tmp_path / "out").last_run
    assert last is not None
    assert f"−{last.kept - load_results(tmp_path / 'out').documents.kept.documents}" in banner


def test_a_run_that_reuses_all_keeps_the_comparison_it_had(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    run(load(path))
    run(load(path, "seed=8"))
    before = (tmp_path / "out" / "report.html").read_bytes()
    run(load(path, "seed=8"))
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_the_manifest_is_shown_as_yaml_that_reads_as_the_same(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST + "gates: {unique_id: true}\n")
    values = load_manifest(path).values
    again = tmp_path / "again.yaml"
    again.write_text(manifest_text(values))
    assert load_manifest(again).values == values
