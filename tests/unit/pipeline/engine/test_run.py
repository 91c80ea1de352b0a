from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
from small_runs import MANIFEST, load, small_project

from pipeline.console import Console
from pipeline.engine.results import RunResults, results_schema
from pipeline.engine.run import load_results, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_project(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def results(project: Path) -> RunResults:
    return run(load(project))


def kept(project: Path) -> list[str]:
    folder = next((project.parent / "out" / "stages").glob("05-*"))
    files = sorted((folder / "kept").glob("*.parquet"))
    return sorted(text for f in files for text in pq.read_table(f).column("text").to_pylist())


def test_every_row_is_accounted_for(results: RunResults) -> None:
    counts = results.documents
    assert counts.rows == 9
    assert counts.kept.documents == 4
    assert {s: {r: t.documents for r, t in d.items()} for s, d in counts.dropped.items()} == {
        "Short": {"short": 3},
        "exact_dedup": {"exact_duplicate": 2},
    }
    assert {name: tally.documents for name, tally in counts.by_source.items()} == {"a": 3, "b": 1}


def test_first_occurrence_survives(results: RunResults, project: Path) -> None:
    assert kept(project) == ["a second text", "one more text", "quite another", "the first text"]


def test_results_file_holds_what_was_returned_and_fits_its_schema(
    results: RunResults, project: Path
) -> None:
    text = (project.parent / "out" / "run_results.json").read_text()
    jsonschema.validate(json.loads(text), results_schema())
    assert load_results(project.parent / "out") == results


def test_report_is_there(results: RunResults, project: Path) -> None:
    html = (project.parent / "out" / "report.html").read_text()
    assert "exact_dedup" in html
    assert results.exit_code == 0


def test_second_run_reuses_everything(results: RunResults, project: Path) -> None:
    again = run(load(project))
    assert {stage.status for stage in again.stages} == {"reused"}
    assert again.documents == results.documents
    assert load_results(project.parent / "out") == results, "which tell what the stages cost"


def test_report_that_is_gone_is_written_by_a_run_that_reuses_everything(project: Path) -> None:
    report = project.parent / "out" / "report.html"
    report.unlink()
    run(load(project))
    assert report.exists()


def test_events_are_json_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = StringIO()
    run(load(small_project(tmp_path)), Console(tmp_path / "logs", stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [e["stage"] for e in events if e["event"] == "stage-ended"] == [
        "01-Short",
        "02-ids",
        "03-exact_dedup.map",
        "04-exact_dedup.reduce",
        "05-exact_dedup",
    ]
    assert events[-1]["event"] == "run-ended"
    assert (tmp_path / "logs" / "events.jsonl").read_text() == stream.getvalue()


def test_bad_file_fails_its_shard_and_the_others_go_on(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a2.jsonl").write_text('{"text": \n' * 3)
    results = run(load(path))
    assert results.exit_code == 1
    (failure,) = results.failures
    assert (failure.task, failure.code) == ("a2.jsonl", "too-many-bad-rows")
    assert results.stages[0].tasks_done == 2
    assert {stage.status for stage in results.stages[1:]} == {"blocked"}
    assert "too-many-bad-rows" in (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "a2.jsonl").unlink()
    mended = run(load(path))
    assert mended.exit_code == 0
    assert mended.documents.rows == 7


def test_repeated_ids_are_counted_and_are_a_gate_if_asked_for(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    text = (tmp_path / "a1.jsonl").read_text()
    (tmp_path / "a1.jsonl").write_text(text.replace('"a11"', '"a12"').replace('"hm"', '"hm, hm"'))
    assert run(load(path)).duplicate_ids == 1
    failed = run(load(path, "gates.unique_id=true"))
    assert failed.exit_code == 1
    assert failed.failures[0].code == "duplicate-ids"
    assert "a12" in failed.failures[0].message


def test_row_steps_after_a_global_step_and_none_before(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("  - short.py:Short: {least: 5}\n  - exact_dedup", "")
    manifest += "  - exact_dedup\n  - short.py:Short: {least: 5}\n"
    results = run(load(small_project(tmp_path, manifest)))
    assert [stage.name for stage in results.stages][0::5] == ["01-read", "06-Short"]
    assert results.documents.kept.documents == 4


def test_no_steps_at_all_keep_every_row(tmp_path: Path) -> None:
    manifest = MANIFEST[: MANIFEST.index("steps:")]
    results = run(load(small_project(tmp_path, manifest)))
    assert results.documents.kept.documents == results.documents.rows == 9
