"""Thresholds tried on real documents: measured once, judged like a run, written back."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import zstandard
from small_runs import winnow

DOMAINS = ("wiki", "code_c", "law", "dialog")
DOCUMENTS = 100
MANIFEST = """\
name: tune
output: out
sources:   # one file each
  wiki:   {format: jsonl, paths: wiki.jsonl}
  code_c: {format: jsonl, paths: code_c.jsonl}
  law:    {format: jsonl, paths: law.jsonl}
  dialog: {format: jsonl, paths: dialog.jsonl}

steps:
  - gopher_repetition: {dup_n_grams: [[5, 0.3], [10, 0.2]]}   # technical text repeats more
  - gopher_quality        # as published
  - exact_dedup
"""
TRIED = (
    "--set", "steps.gopher_repetition.dup_n_grams.0.1=0.25",
    "--set", "steps.gopher_quality.min_stop_words=1",
    "--set", "steps.gopher_quality.max_non_alpha_words_ratio=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def measured_project(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("tune") / "project"
    folder.mkdir()
    for name in DOMAINS:
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            lines = [next(stream) for _ in range(DOCUMENTS)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    (folder / "m.yaml").write_text(MANIFEST)
    done = winnow("measure", "m.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "400 rows in = 400 measured + 0 quarantined" in done.stdout
    return folder


@pytest.fixture
def project(measured_project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured_project, tmp_path / "project"))


def test_tried_thresholds_decide_as_a_run_with_them_does(project: Path) -> None:
    tried = json.loads(winnow("tune", "m.yaml", *TRIED, "--json", cwd=project).stdout)
    done = winnow("run", "m.yaml", *TRIED, cwd=project)
    assert done.returncode == 0, done.stderr
    counts = json.loads((project / "out" / "run_results.json").read_text())["documents"]
    assert counts["dropped"]["gopher_repetition"]
    for found in tried["filters"]:
        dropped = counts["dropped"][found["step"]].values()
        assert found["in_order"]["documents"] == sum(count["documents"] for count in dropped)
        assert found["in_order"]["bytes"] == sum(count["bytes"] for count in dropped)
    assert tried["kept"]["documents"] == counts["entered"]["exact_dedup"]["documents"]


def test_what_is_tried_is_compared_shown_and_written(project: Path) -> None:
    done = winnow("tune", "m.yaml", *TRIED, "--write", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "more documents" in done.stdout.splitlines()[3]
    assert (project / "m.yaml").read_text() == MANIFEST.replace("[5, 0.3]", "[5, 0.25]").replace(
        "  - gopher_quality        # as published",
        "  - gopher_quality: {min_stop_words: 1, max_non_alpha_words_ratio: 0.5}"
        "        # as published",
    )
    page = (project / "out" / "tune.html").read_text()
    for part in ("gopher_enough_stop_words", "top_2_gram", "What changes", "<svg"):
        assert part in page
    again = winnow("measure", "m.yaml", cwd=project)
    assert "reused in" in again.stdout, "thresholds are not what is measured"
