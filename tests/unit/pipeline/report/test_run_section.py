"""The section on the run itself, in three real small runs into one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from small_runs import MANIFEST, load, small_project

from pipeline.engine.results import RunResults
from pipeline.engine.run import load_results, run
from pipeline.manifest import load_manifest
from pipeline.report.run_section import manifest_text


@dataclass(frozen=True)
class Written:
    """What a run left: its report, its results, and its own section as text in one line."""

    html: str
    results: RunResults

    @property
    def section(self) -> str:
        html = self.html.split('<section id="run"')[1].split("</section>")[0]
        text = unescape(re.sub("<[^>]+>", " ", html))
        return " ".join(text.replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_project(tmp_path_factory.mktemp("runs") / "project")


@pytest.fixture(scope="module")
def written(manifest: Path) -> list[Written]:
    """Of a first run, of one with other values, and of the same again."""
    output = manifest.parent / "out"
    found = []
    for overrides in (
        ("steps.Short.least=4",),
        ("steps.Short.least=14", "seed=8"),
        ("steps.Short.least=14", "seed=8"),
    ):
        run(load(manifest, *overrides))
        found.append(Written((output / "report.html").read_text(), load_results(output)))
    return found


def test_a_run_names_its_manifest_machine_and_versions(
    written: list[Written], manifest: Path
) -> None:
    first = written[0]
    assert f"manifest {manifest}" in first.section
    assert f"output {manifest.parent / 'out'}" in first.section
    assert f"corpus {manifest.parent / 'out' / 'corpus'}" in first.section
    machine = first.results.environment
    for value in (machine.system, machine.processor, f"Python {machine.python}"):
        assert value in first.section
    assert f"numpy {machine.packages['numpy']}" in first.section
    assert "short.py:Short: least: 4" in first.section, "the manifest holds the override"
    assert "Since the run of" not in first.section


def test_a_second_run_shows_what_differs_from_the_first(written: list[Written]) -> None:
    first, second, _ = written
    assert f"Since the run of {first.results.started}" in second.section
    assert "steps.Short.least: 4 → 14" in second.section
    assert "seed: 7 → 8" in second.section
    fewer = first.results.documents.kept.documents - second.results.documents.kept.documents
    assert fewer > 0
    assert f"(−{fewer} since the last run)" in second.html.split("</header>")[0]


def test_a_run_that_reuses_all_keeps_the_comparison_it_had(written: list[Written]) -> None:
    assert written[2] == written[1]


def test_the_manifest_is_shown_as_yaml_that_reads_as_the_same(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST + "gates: {unique_id: true}\n")
    values = load_manifest(path).values
    again = tmp_path / "again.yaml"
    again.write_text(manifest_text(values))
    assert load_manifest(again).values == values


def test_lists_of_plain_values_take_one_line() -> None:
    values = {"steps": ["pii", {"gopher_repetition": {"dup_n_grams": [[5, 0.3], [10, 0.2]]}}]}
    assert manifest_text(values) == (
        "steps:\n  - pii\n  - gopher_repetition:\n      dup_n_grams: [[5, 0.3], [10, 0.2]]\n"
    )
