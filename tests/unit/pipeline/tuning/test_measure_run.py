from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_runs import files_of

from pipeline.errors import Refusal
from pipeline.manifest import Manifest, load_manifest
from pipeline.tuning.measure_run import (
    first_stage,
    measure,
    measured_stage,
    measuring_manifest,
)


def load(path: Path, *overrides: str) -> Manifest:
    return load_manifest(path, overrides, path.parent / "out")


def rows(path: Path) -> dict[str, dict[str, object]]:
    files = files_of(path.parent / "out" / "measure", "measure")
    return {row["id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def test_all_rows_are_measured_or_in_quarantine(measured: Path) -> None:
    done = measure(load(measured))
    counts = done.results.documents
    assert counts.rows == 13
    assert (counts.kept.documents, counts.quarantined) == (12, {"malformed-json": 1})
    assert counts.dropped == {"measure": {}}
    assert len(rows(measured)) == 12
    report = (measured.parent / "out" / "measure" / "report.html").read_text()
    assert "Measured: 12 of 13 rows." in report


def test_documents_have_identity_excerpt_signals_and_reasons(measured: Path) -> None:
    row = rows(measured)["a2-0"]
    assert row["text"] == "hello | world!"
    assert (row["source"], row["_source"], row["_offset"]) == ("a", "a2.jsonl", 0)
    assert row["text_bytes"] == 14
    assert (row["Sized.length"], row["Sized.share"]) == (14.0, 0.0)
    assert (row["Trim.words"], row["Loud.loud"], row["Loud.reason"]) == (1.0, 0.0, "")
    assert "Sized.reason" not in row


def test_edits_are_measured_by_later_steps(measured: Path) -> None:
    loud = {id_ for id_, row in rows(measured).items() if row["Loud.reason"]}
    assert loud == {"a1-4"}, "a2-0 lost its mark when it was trimmed"


def test_steps_that_see_all_documents_are_skipped_and_named(measured: Path) -> None:
    done = measure(load(measured))
    assert done.skipped == ("exact_dedup",)
    assert done.left_out == ()


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["steps.Sized.least=9", "steps.Sized.max_share=0.1"],
        ["steps.Sized.most=null", "steps.Trim.most=1"],
        ["executor.workers=2", "seed=5", "name=other"],
    ],
)
def test_measuring_again_reuses_whatever_the_limits(measured: Path, overrides: list[str]) -> None:
    before = (measured.parent / "out" / "measure" / "report.html").stat().st_mtime_ns
    done = measure(load(measured, *overrides))
    assert [stage.status for stage in done.results.stages] == ["reused", "reused"]
    assert (measured.parent / "out" / "measure" / "report.html").stat().st_mtime_ns == before
    assert measured_stage(load(measured, *overrides), (), None).name == "measure"


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("steps.Sized.letter=y", 'steps.Sized.letter: "x" → "y"'),
        ("steps.Loud.sign=.", 'steps.Loud.sign: "!" → "."'),
    ],
)
def test_what_is_measured_otherwise_is_stale_and_says_what_to_run(
    measured: Path, override: str, why: str
) -> None:
    with pytest.raises(Refusal) as caught:
        measured_stage(load(measured, override), [override], Path("else where"))
    assert caught.value.exit_code == 2
    assert "0 of 3 shards" in caught.value.message
    assert why in caught.value.message
    assert f"winnow measure {measured} --set " in caught.value.hint
    assert caught.value.hint.endswith("--output 'else where'")


def test_another_file_is_measured_alone(measured: Path) -> None:
    (measured.parent / "a3.jsonl").write_text(json.dumps({"id": "a3-0", "text": "more"}) + "\n")
    with pytest.raises(Refusal, match="3 of 4 shards"):
        measured_stage(load(measured), (), None)
    assert len(first_stage(measuring_manifest(load(measured))).pending) == 1
    assert measure(load(measured)).results.documents.kept.documents == 13
    assert rows(measured)["a3-0"]["Sized.length"] == 4


def test_a_changed_filter_is_stale(measured: Path) -> None:
    code = measured.parent / "filters.py"
    code.write_text(code.read_text().replace("t.count(", "1 + t.count("))
    with pytest.raises(Refusal, match="0 of 3 shards"):
        measured_stage(load(measured), (), None)


def test_nothing_measured_is_refused(measured: Path) -> None:
    shutil.rmtree(measured.parent / "out")
    shutil.rmtree(measured.parent / ".store")
    with pytest.raises(Refusal) as caught:
        measured_stage(load(measured), (), None)
    assert caught.value.code == "not-measured"
    assert caught.value.hint == f"measure first: winnow measure {measured}"


def test_a_manifest_without_row_steps_is_refused(measured: Path) -> None:
    with pytest.raises(Refusal, match="no step that filters documents one by one"):
        measure(load(measured, "steps=[exact_dedup]"))


def test_the_run_itself_is_not_touched(measured: Path) -> None:
    assert {path.name for path in (measured.parent / "out").iterdir()} == {"measure"}
    planned = measuring_manifest(load(measured))
    assert planned.output == measured.parent / "out" / "measure"
    assert planned.extensions == {}
    assert not planned.gates.unique_id


def test_a_shard_that_fails_is_reported(measured: Path) -> None:
    (measured.parent / "b1.jsonl").write_text("{\n{\n")
    done = measure(load(measured))
    assert done.results.exit_code == 1
    assert [failure.code for failure in done.results.failures] == ["too-many-bad-rows"]
    assert done.left_out == ()


def test_steps_by_what_a_skipped_step_adds_are_left_out_and_named(measured: Path) -> None:
    code = measured.parent / "filters.py"
    code.write_text(
        code.read_text()
        + """

import pyarrow as pa
from winnow import Column, GlobalStep


class Score(GlobalStep):
    def adds(self):
        return {"score": pa.float64()}


class Good(RowStep):
    def reads(self):
        return {(): Column("score")}

    def filter(self, docs):
        return FilterResult(keep=docs.column("score").to_numpy() > 0, reason="bad")
"""
    )
    steps = "steps=['filters.py:Score', 'filters.py:Good', 'filters.py:Sized']"
    done = measure(load(measured, steps))
    assert done.results.exit_code == 0
    assert (done.skipped, done.left_out) == (("Score",), ("Good",))
