"""Documents of a run as files of their own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_runs import MANIFEST, corpus_rows, load, small_project, winnow

from pipeline.engine.run import run
from pipeline.engine.run_documents import dropped_documents, kept_documents, rows_of

# A second global step, so that documents are seen through two annotations.
STEPS = MANIFEST + "  - short.py:Short: {least: 14}\n  - minhash_dedup: {ngram: 1}\n"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_project(tmp_path_factory.mktemp("exported"), STEPS)
    assert run(load(path)).exit_code == 0
    return path.parent / "out"


def test_what_is_kept_is_the_corpus_and_what_is_dropped_is_the_rest(output: Path) -> None:
    kept = list(rows_of(kept_documents(output)))
    assert kept == corpus_rows(output)
    dropped = list(rows_of(dropped_documents(output)))
    assert len(kept) + len(dropped) == 9
    assert {row["step"] for row in dropped} == {"Short", "exact_dedup", "Short_2"}
    assert all(row["text"] and row["reason"] for row in dropped)


def test_parquet_files_hold_what_the_corpus_holds(output: Path, tmp_path: Path) -> None:
    done = winnow("export", output, "--to", tmp_path / "to")
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "to").glob("*/*.parquet"))
    assert [row for path in files for row in pq.read_table(path).to_pylist()] == corpus_rows(output)
    assert f"in {len(files)} files" in done.stdout


def test_json_lines_hold_dropped_documents_with_their_signals(output: Path, tmp_path: Path) -> None:
    done = winnow("export", output, "--to", tmp_path, "--dropped", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = []
    for path in tmp_path.glob("*/*/*.jsonl.zst"):
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as file:
            rows += [json.loads(line) for line in io.BytesIO(file.read())]
    (hm,) = [row for row in rows if row["text"] == "hm"]
    assert (hm["step"], hm["reason"], hm["signals"]) == ("Short", "short", {"length": 2})
    assert f"{len(rows):,} documents" in done.stdout


def test_a_folder_that_holds_something_is_left_alone(output: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = winnow("export", output, "--to", tmp_path)
    assert done.returncode == 2
    assert "not-empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    done = winnow("export", tmp_path, "--to", tmp_path / "to")
    assert (done.returncode, "no-run" in done.stderr) == (2, True)
