"""Sections of steps in the report, in real small runs."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from small_runs import load, small_project, winnow

from pipeline.engine.run import load_results, run

STEPS = '''
import json

import numpy as np
import pyarrow as pa
from winnow import GlobalStep, ReportSection, Prose, RowStep, ShardError, FilterResult


class Quiet(GlobalStep):
    """Counts documents and has no section."""

    def map(self, docs):
        return pa.RecordBatch.from_pydict({"bytes": pa.array([len(docs)])})

    def reduce(self, reduce_input, folder):
        (folder / "found.json").write_text(json.dumps({"seed": reduce_input.seed}))
        return {"shards": len(reduce_input.mapped)}

    def apply(self, docs, artifacts, at):
        return FilterResult(keep=np.ones(len(docs), bool))


class Described(Quiet):
    """Describes what it found; with ``words`` empty, nothing."""

    words: str = "shards"

    def report_sections(self, label, artifacts, metrics):
        if not self.words:
            return []
        seed = json.loads((artifacts / "found.json").read_text())["seed"]
        text = f"{metrics['shards']} {self.words}, seed {seed}"
        return [ReportSection(label, f"What {label} found", [Prose(text)])]


class Alarm(Quiet):
    """Found something that a reader should know."""

    def reduce(self, reduce_input, folder):
        return {"shards": len(reduce_input.mapped), "warnings": ["`a` has <no> order."]}


class Picky(RowStep):
    """Fails on the shards that hold a word."""

    def filter(self, docs):
        for number, text in enumerate(docs.text.to_pylist()):
            if "more" in text:
                raise ShardError("picky", f"row {number} says more")
        return FilterResult(keep=np.ones(len(docs), bool))


class Broken(RowStep):
    """Fails on every shard."""

    def filter(self, docs):
        raise ShardError("broken", "it is broken")
'''

MANIFEST = """
name: small
seed: 7
output: out
executor: {kind: local, workers: 1}
sources:
  a: {format: jsonl, paths: "a*.jsonl", pack_bytes: 0}
steps:
  - steps.py:Quiet
  - steps.py:Described: {words: <b>shards</b>}
  - steps.py:Described: {words: files}
"""


def report_of(folder: Path, manifest: str) -> str:
    path = small_project(folder, manifest)
    (folder / "steps.py").write_text(STEPS)
    run(load(path))
    return (folder / "out" / "report.html").read_text()


def headings(html: str, level: int = 2) -> list[str]:
    found = re.findall(f"<h{level}[^>]*>(.*?)</h{level}>", html, re.DOTALL)
    return [" ".join(unescape(re.sub("<[^>]+>", "", heading)).split()) for heading in found]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps") / "project"
    report_of(folder, MANIFEST)
    return folder


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return (project / "out" / "report.html").read_text()


def test_steps_have_sections_in_the_order_of_the_manifest_before_the_funnel(html: str) -> None:
    assert headings(html)[:3] == ["What Described found", "What Described_2 found", "Funnel"]


def test_a_step_gets_its_metrics_and_its_folder_of_artifacts(html: str) -> None:
    assert "2 &lt;b&gt;shards&lt;/b&gt;, seed 7" in html
    assert "2 files, seed 7" in html


def test_only_a_step_without_sections_has_its_metrics_listed(html: str) -> None:
    artifacts = html.split('id="metrics"')[1].split("</section>")[0]
    assert "Quiet.reduce" in artifacts
    assert "Described" not in artifacts


def test_a_step_that_returns_no_sections_has_its_metrics_listed(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("<b>shards</b>", "''")
    html = report_of(tmp_path / "project", manifest)
    assert "Described.reduce" in html.split('id="metrics"')[1]
    assert headings(html)[0] == "What Described_2 found"


def test_a_later_failure_does_not_hide_what_was_concluded(tmp_path: Path) -> None:
    html = report_of(tmp_path / "project", MANIFEST + "  - steps.py:Broken\n")
    assert headings(html)[:2] == ["Failures", "What Described found"]


def test_a_step_that_has_not_concluded_has_no_section(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("  - steps.py:Quiet\n", "  - steps.py:Quiet\n  - steps.py:Broken\n")
    html = report_of(tmp_path / "project", manifest)
    assert headings(html)[0] == "Failures"
    assert "What Described found" not in html


def test_a_report_written_again_is_the_same(project: Path, html: str) -> None:
    (project / "out" / "report.html").unlink()
    done = winnow("report", project / "m.yaml", cwd=project)
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "report.html").read_text() == html


def test_what_draws_is_loaded_only_when_something_is_drawn(project: Path) -> None:
    program = (
        "import sys\n"
        "import pipeline.report.write, pipeline.tuning.tuning_output\n"
        "from pathlib import Path\n"
        "from pipeline.engine.run import run\n"
        "from pipeline.manifest import load_manifest\n"
        "results = run(load_manifest(Path('m.yaml')))\n"
        "assert {stage.status for stage in results.stages} == {'reused'}\n"
        "print({'altair', 'jinja2', 'vl_convert'} & sys.modules.keys())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=project
    )
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_a_warning_reaches_the_report_the_results_and_the_output(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST + "  - steps.py:Alarm\n  - steps.py:Alarm\n")
    (tmp_path / "steps.py").write_text(STEPS)
    done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = ["Alarm: `a` has <no> order.", "Alarm_2: `a` has <no> order."]
    assert load_results(tmp_path / "out").warnings == expected
    assert [line for line in done.stdout.splitlines() if "warning" in line] == [
        f"warning: {warning}" for warning in expected
    ]
    html = (tmp_path / "out" / "report.html").read_text()
    banner = html.split("</header>")[0].split("<header>")[1]
    assert "Alarm_2: <code>a</code> has &lt;no&gt; order." in banner
    listed = html.split('id="metrics"')[1].split("</section>")[0]
    assert "Alarm.reduce" in listed
    assert "no order" not in listed  # not repeated


def test_a_failed_run_counts_the_rows_that_were_met_in_red(tmp_path: Path) -> None:
    manifest = MANIFEST.split("steps:")[0] + "steps:\n  - short.py:Short\n  - steps.py:Picky\n"
    html = report_of(tmp_path, manifest)
    results = load_results(tmp_path / "out")
    assert (results.documents.rows, results.documents.kept.documents) == (4, 3)
    banner = html.split('<p class="headline')[1].split("</p>")[0]
    assert banner.startswith(" tone-failed")
    assert "a2.jsonl" in banner
    assert "row 0 says more" in banner
    assert "Read so far: 4 rows, 3 documents left." in banner
    assert "The readers met 4 rows" in html
    assert "not run yet: 1 task." in html


def test_documents_in_a_later_stage_that_failed_are_accounted_for(tmp_path: Path) -> None:
    manifest = MANIFEST.split("steps:")[0] + (
        "steps:\n  - short.py:Short\n  - exact_dedup\n  - steps.py:Picky\n"
    )
    path = small_project(tmp_path, manifest)
    (tmp_path / "steps.py").write_text(STEPS)
    done = winnow("run", path, cwd=tmp_path)
    assert done.returncode == 1
    results = load_results(tmp_path / "out")
    dropped = sum(
        c.documents for found in results.documents.dropped.values() for c in found.values()
    )
    assert results.documents.rows == 6
    assert results.unfinished == 1
    assert results.documents.kept.documents + dropped + results.unfinished == 6
    assert "+ 1 in shards that are not done" in done.stdout
