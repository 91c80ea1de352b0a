from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from small_runs import MANIFEST, contents, corpus_rows, load, small_project, winnow, write_lines

from pipeline.console import Console
from pipeline.engine.results import RunResults, results_schema
from pipeline.engine.run import load_results, run
from pipeline.errors import Refusal


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_project(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def results(project: Path) -> RunResults:
    return run(load(project))


def kept(project: Path) -> list[str]:
    return sorted(row["text"] for row in corpus_rows(project.parent / "out"))


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
        "Short",
        "ids",
        "exact_dedup.map",
        "exact_dedup.reduce",
        "exact_dedup",
        "corpus",
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
    assert [stage.name for stage in results.stages][0::4] == ["read", "exact_dedup+Short"]
    assert results.documents.kept.documents == 4


def test_no_steps_at_all_keep_every_row(tmp_path: Path) -> None:
    manifest = MANIFEST[: MANIFEST.index("steps:")]
    results = run(load(small_project(tmp_path, manifest)))
    assert results.documents.kept.documents == results.documents.rows == 9


def statuses(results: RunResults) -> dict[str, str]:
    return {stage.name: stage.status for stage in results.stages}


def test_corpus_holds_every_kept_document_once_by_source(
    results: RunResults, project: Path
) -> None:
    folder = project.parent / "out" / "corpus"
    assert results.corpus == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert len(corpus_rows(project.parent / "out")) == results.documents.kept.documents
    assert (project.parent / "out" / "artifacts" / "exact_dedup").is_dir()
    everything = (project.parent / "out").rglob("*.parquet")
    assert sorted(everything) == sorted(folder.glob("*/*.parquet")), "the obvious glob"


def test_what_follows_a_stage_that_gives_the_same_is_reused(tmp_path: Path) -> None:
    """A threshold that changes no kept document costs its own stage alone."""
    path = small_project(tmp_path)
    run(load(path))
    results = run(load(path, "steps.Short.least=4"))
    assert statuses(results) == {
        "Short": "done",
        "ids": "reused",
        "exact_dedup.map": "reused",
        "exact_dedup.reduce": "reused",
        "exact_dedup": "reused",
        "corpus": "reused",
    }


def test_run_of_another_name_and_output_reuses_what_the_store_has(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    run(load(path))
    other = tmp_path / "other.yaml"
    other.write_text(path.read_text().replace("name: small", "name: other"))
    results = run(load(other, output="elsewhere"))
    assert set(statuses(results).values()) == {"reused"}
    assert contents(tmp_path / "elsewhere") == contents(tmp_path / "out")
    assert corpus_rows(tmp_path / "elsewhere") == corpus_rows(tmp_path / "out")


def test_store_may_be_named_and_is_shared(tmp_path: Path) -> None:
    first, second = small_project(tmp_path / "one"), small_project(tmp_path / "two")
    store = f"store={tmp_path / 'shared'}"
    run(load(first, store))
    assert set(statuses(run(load(second, store))).values()) == {"reused"}
    assert not (tmp_path / "two" / ".store").exists()


def test_inserted_step_leaves_what_came_before_it_valid(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    run(load(path))
    path.write_text(path.read_text() + "  - short.py:Short: {least: 14}\n")
    found = statuses(run(load(path)))
    assert found.pop("exact_dedup+Short_2") == found.pop("corpus") == "done"
    assert set(found.values()) == {"reused"}


def test_two_runs_on_one_store_at_the_same_time_give_the_same_bytes(tmp_path: Path) -> None:
    """Fault 73."""
    path = small_project(tmp_path)
    write_lines(tmp_path / "a4.jsonl", [f"text number {n}" for n in range(20_000)])
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(winnow, "run", path, "--output", tmp_path / name)
            for name in ("first", "second")
        ]
    assert [done.result().returncode for done in runs] == [0, 0]
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


BAD = '{"text": \n' * 3


def test_run_goes_on_without_a_failed_shard_if_allowed(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a2.jsonl").write_text(BAD)
    results = run(load(path, "gates.max_failed_shards=1"))
    assert (results.status, results.exit_code) == ("done", 0)
    assert {row["text"] for row in corpus_rows(tmp_path / "out")} == {
        "the first text",
        "a second text",
        "quite another",
    }
    assert [(f.task, f.code) for f in results.failures] == [("a2.jsonl", "too-many-bad-rows")]
    assert "1 failed shard is missing from all that follows: a2.jsonl" in results.warnings[0]
    assert "1 failed shard is missing" in (tmp_path / "out" / "report.html").read_text()


def test_more_failed_shards_than_allowed_stop_the_run(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    for name in ("a1.jsonl", "a2.jsonl"):
        (tmp_path / name).write_text(BAD)
    results = run(load(path, "gates.max_failed_shards=1"))
    assert (results.status, results.exit_code) == ("failed", 1)
    assert len(results.failures) == 2


def test_failed_run_reports_the_rows_that_were_met(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a2.jsonl").write_text(BAD)
    results = run(load(path))
    counts = results.documents
    assert counts.rows == 7
    dropped = sum(t.documents for reasons in counts.dropped.values() for t in reasons.values())
    assert counts.rows == counts.kept.documents + dropped + results.unfinished


def test_failed_shards_alone_are_taken_up_again_if_asked_for(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    good = (tmp_path / "a2.jsonl").read_text()
    (tmp_path / "a2.jsonl").write_text(good + BAD)
    assert run(load(path)).exit_code == 1
    write_lines(tmp_path / "a9.jsonl", ["a shard that is new"])
    results = run(load(path, "sources.a.max_bad=1"), retry_failed=True)
    assert results.exit_code == 0
    texts = {row["text"] for row in corpus_rows(tmp_path / "out")}
    assert "one more text" in texts
    assert "a shard that is new" not in texts
    with pytest.raises(Refusal, match="no shard failed"):
        run(load(path), retry_failed=True)


def test_stopped_run_leaves_word_of_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project(tmp_path)
    run(load(path))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.engine.supervisor.Supervisor.run", stop)
    with pytest.raises(KeyboardInterrupt):
        run(load(path, "steps.Short.least=9"))
    results = load_results(tmp_path / "out")
    assert (results.status, results.exit_code) == ("interrupted", 130)
    events = (tmp_path / "out" / "logs" / "events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["status"] == "interrupted"


def test_folder_of_a_run_of_an_older_winnow_is_refused(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "out" / "stages" / "01-Short@0a1b2c3d" / "receipts").mkdir(parents=True)
    with pytest.raises(Refusal, match="an earlier version of winnow"):
        run(load(path))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stages"], "left as it is"


def test_bad_rows_that_another_run_accepted_fail_a_run_that_does_not(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a2.jsonl").write_text((tmp_path / "a2.jsonl").read_text() + BAD)
    assert run(load(path, "sources.a.max_bad=1")).exit_code == 0
    results = run(load(path))
    [failure] = results.failures
    assert failure.code == "too-many-bad-rows"
    assert "first at a2.jsonl:" in failure.message
    assert results.exit_code == 1


def test_an_empty_file_that_another_run_accepted_fails_a_run_that_does_not(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    (tmp_path / "a3.jsonl").write_text("\n")
    assert run(load(path, "sources.a.allow_empty=true")).exit_code == 0
    results = run(load(path))
    [failure] = results.failures
    assert (failure.code, failure.message) == ("empty-file", "a3.jsonl: no rows")
    assert "allow_empty: true" in failure.hint
    assert results.exit_code == 1
