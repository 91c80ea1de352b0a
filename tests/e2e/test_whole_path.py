"""From raw text to a verdict on real documents: one run in peace, and one that was killed."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
import zstandard
from small_runs import contents, date, dropped_rows, winnow

from pipeline.engine.results import results_schema
from pipeline.engine.status import read_status

DOMAINS = ("wiki", "medical", "dialog", "law")
DOCUMENTS = 150
MANIFEST = """
name: whole
seed: 3
output: out
sources:
  wiki:    {format: jsonl, paths: wiki.jsonl}
  medical: {format: jsonl, paths: medical.jsonl}
  dialog:  {format: jsonl, paths: dialog.jsonl}
  law:     {format: jsonl, paths: law.jsonl}
steps:
  - gopher_repetition: {dup_n_grams: [[5, 0.3], [10, 0.2]]}
  - gopher_quality
  - exact_dedup
  - minhash_dedup
  - classify: {train: {positive: wiki, negative: dialog}, epoch: 5}
mixes:
  good: {wiki: {quality: top 50%}, medical: 0.5}
proxy:
  model: 100k
  tokens: 20k
  seeds: 2
  evaluate: {wiki: held_out 10%, medical: held_out 10%}
"""
# Tasks before the second trial of a run with one worker, which does them one after the other.
TASKS_BEFORE = 4 + 1 + 3 * (4 + 1 + 4) + 4 + (1 + 4 + 1 + 4 + 4 + 1) + 1


def project(folder: Path, shared: Path) -> Path:
    """The manifest and the beginnings of four domains, the first of them twice."""
    folder.mkdir(parents=True)
    for name in DOMAINS:
        with (shared / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            lines = [next(stream) for _ in range(DOCUMENTS)]
        (folder / f"{name}.jsonl").write_text("".join([*lines, lines[0]]))
    date(folder)
    (folder / "m.yaml").write_text(MANIFEST)
    return folder / "m.yaml"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    path = project(tmp_path_factory.mktemp("whole") / "project", shared_data)
    done = winnow("run", path, "--set", "executor.workers=2", cwd=path.parent)
    assert done.returncode == 0, done.stderr
    return path.parent / "out"


def test_results_fit_their_schema_and_hold_a_verdict(undisturbed: Path) -> None:
    results = json.loads((undisturbed / "run_results.json").read_text())
    jsonschema.validate(results, results_schema())
    comparisons = results["extensions"]["proxy"]["verdict"]["comparisons"]
    assert {(c["mix"], c["target"]) for c in comparisons} >= {("good", "all"), ("good", "wiki")}
    assert {c["decision"] for c in comparisons} <= {"better", "worse", "undecided"}
    assert all(c["mde"] > 0 and c["low"] < c["high"] for c in comparisons)


def test_every_row_is_kept_dropped_or_quarantined(undisturbed: Path) -> None:
    counts = json.loads((undisturbed / "run_results.json").read_text())["documents"]
    dropped = sum(t["documents"] for d in counts["dropped"].values() for t in d.values())
    assert counts["rows"] == len(DOMAINS) * (DOCUMENTS + 1)
    assert counts["rows"] == counts["kept"]["documents"] + dropped
    assert counts["dropped"]["exact_dedup"]["exact_duplicate"]["documents"] >= 1


def test_every_dropped_document_has_step_reason_and_signals(undisturbed: Path) -> None:
    found = 0
    for row in dropped_rows(undisturbed):
        found += 1
        assert row["step"]
        assert row["reason"]
        assert row["text"]
        assert json.loads(row["signals"])
        if row["step"].endswith("dedup"):
            assert json.loads(row["signals"])["duplicate_of"] != ""
    assert found


def test_report_tells_the_verdict_and_stands_alone(undisturbed: Path) -> None:
    html = (undisturbed / "report.html").read_text()
    for section in ("Verdict", "Mixes", "Training", "Funnel", "Reasons", "Scores"):
        assert section in html
    assert "http-equiv" in html
    assert "<script" not in html


def test_scores_are_there_for_every_document(undisturbed: Path) -> None:
    for path in undisturbed.glob("corpus/*/*.parquet"):
        scores = pq.read_table(path, columns=["quality"]).column("quality").to_pylist()
        assert all(0 <= score <= 1 for score in scores)


@pytest.mark.slow
def test_killed_in_a_trial_it_ends_with_the_same_bytes(
    tmp_path: Path, shared_data: Path, undisturbed: Path
) -> None:
    path = project(tmp_path / "project", shared_data)
    arguments = ("run", path, "--set", "executor.workers=1")
    killed = winnow(
        *arguments,
        cwd=path.parent,
        environment={"WINNOW_KILL_AT": f"task-finished:{TASKS_BEFORE + 1}", "WINNOW_KILL_RUN": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    trials = [s for s in read_status(path.parent / "out").stages if s.name == "proxy.trial"]
    assert [stage.done for stage in trials] == [1], "killed at the second trial"
    assert winnow(*arguments, cwd=path.parent).returncode == 0
    assert contents(path.parent / "out") == contents(undisturbed)
