"""How a run takes its input: by versions of files, in parts and packs that change no result."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from small_runs import load, small_project, write_lines

from pipeline.console import Console
from pipeline.engine.plan import Plan, make_plan
from pipeline.engine.results import RunResults
from pipeline.engine.run import run
from pipeline.sources.file_format import LOOKED_AT_FILES

MANIFEST = """
name: parts
seed: 7
output: out
executor: {kind: local, workers: 2}
sources:
  a: {format: jsonl, paths: "a*.jsonl"}
steps:
  - short.py:Short: {least: 5}
  - exact_dedup
"""


def quiet() -> Console:
    return Console(None, open(os.devnull, "w"))


def statuses(plan: Plan) -> dict[str, str]:
    return {planned.stage.name: planned.status for planned in plan.stages}


def done(path: Path, *overrides: str, output: str = "out") -> RunResults:
    results = run(load(path, *overrides, output=output), quiet())
    assert results.exit_code == 0, results.failures
    return results


def kept(folder: Path) -> list[dict[str, Any]]:
    """All documents that a run left, in the order of its shards."""
    shards = [pq.read_table(file).to_pylist() for file in (folder / "corpus/a").glob("*.parquet")]
    shards.sort(key=lambda rows: (rows[0]["_source"], rows[0]["_offset"]))
    return [row for rows in shards for row in rows]


def test_a_file_that_is_touched_is_read_again_and_nothing_else(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    done(path)
    before = {file: file.resolve() for file in (tmp_path / "out" / "corpus").glob("*/*")}
    os.utime(tmp_path / "a1.jsonl", ns=(0, 1_700_000_000_123_456_789))
    plan = make_plan(load(path))
    assert [task.label for task in plan.stages[0].pending] == ["a1.jsonl"]
    assert "bytes of 2023-11-14T22:13:20.123456789Z" in plan.stages[0].why
    results = done(path)
    first, *others = [stage.status for stage in results.stages]
    assert (first, set(others)) == ("done", {"reused"})
    after = {file: file.resolve() for file in (tmp_path / "out" / "corpus").glob("*/*")}
    assert after.keys() == before.keys()


def test_receipts_have_the_digests_of_what_was_read(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    done(path)
    stage = make_plan(load(path)).stages[0].stage
    inputs = {k: v for receipt in stage.outputs.receipts() for k, v in receipt.inputs.items()}
    assert sorted(inputs) == ["a1.jsonl", "a2.jsonl", "b1.jsonl"]
    assert all(len(sha256) == 64 for sha256 in inputs.values())


def test_parts_and_packs_change_no_document(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST)
    for file in tmp_path.glob("a*.jsonl"):
        file.unlink()
    rows = [{"text": f"text number {n % 400} of some" if n % 7 else "hm"} for n in range(900)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    whole = done(path, output="whole")
    parts = done(path, "sources.a.shard_bytes=5000", output="parts")
    assert [stage.name for stage in parts.stages][:2] == ["index", "Short"]
    assert parts.stages[1].tasks > 4
    assert kept(tmp_path / "parts") == kept(tmp_path / "whole")
    assert len(kept(tmp_path / "whole")) == 400
    assert parts.documents == whole.documents
    again = make_plan(load(path, "sources.a.shard_bytes=5000", output="parts"))
    assert set(statuses(again).values()) == {"reuse"}


def test_another_size_of_parts_says_so(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST)
    write_lines(tmp_path / "a1.jsonl", [f"text {n}" for n in range(200)])
    done(path, "sources.a.shard_bytes=2000")
    plan = make_plan(load(path, "sources.a.shard_bytes=3000"))
    assert statuses(plan)["index"] == "run"
    assert "2000 → 3000" in plan.stages[0].why
    assert plan.pending_bytes == (tmp_path / "a1.jsonl").stat().st_size


def test_a_damaged_file_that_is_split_fails_alone(tmp_path: Path) -> None:
    path = small_project(tmp_path, MANIFEST.replace("a*.jsonl", "a*"))
    write_lines(tmp_path / "a1.jsonl", [f"text {n}" for n in range(200)])
    (tmp_path / "a3.jsonl.gz").write_bytes(b"\x1f\x8b" + bytes(9_000))
    results = run(load(path, "sources.a.shard_bytes=3000", "gates.max_failed_shards=9"), quiet())
    assert {(f.task, f.code) for f in results.failures} == {
        ("a3.jsonl.gz bytes 0-3000", "corrupt-compression")
    }
    assert results.exit_code == 0
    assert len(kept(tmp_path / "out")) > 200


def test_many_files_are_planned_without_opening_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_project(tmp_path, MANIFEST)
    for number in range(3_000):
        (tmp_path / f"a{number:05}.jsonl").write_bytes(b'{"body": "another field"}\n')
    (tmp_path / "a02999.jsonl").write_bytes(b'{"text": "the last has it"}\n')
    opened: Counter[str] = Counter()
    really_open = open

    def counting(file: Any, *arguments: Any, **named: Any) -> Any:
        opened[str(file)] += 1
        return really_open(file, *arguments, **named)

    monkeypatch.setattr("builtins.open", counting)
    plan = make_plan(load(path))
    assert 0 < sum(name.endswith(".jsonl") for name in opened) <= LOOKED_AT_FILES
    assert len(plan.stages[0].stage.tasks) < 20
