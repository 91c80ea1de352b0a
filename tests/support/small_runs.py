"""Small real runs for tests: a folder with a manifest, a filter of its own and JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.engine.run_documents import dropped_documents, rows_of
from pipeline.manifest import Manifest, load_manifest

MADE = 1_700_000_000  # seconds

FILTER = '''
import numpy as np
from winnow import RowStep, FilterResult


class Short(RowStep):
    """Drop short texts."""

    least: int = 5

    def filter(self, docs):
        length = np.array([len(text) for text in docs.text.to_pylist()], dtype=np.int64)
        return FilterResult(keep=length >= self.least, reason="short", signals={"length": length})
'''

MANIFEST = """
name: small
seed: 7
output: out
executor: {kind: local, workers: 2}
sources:
  a: {format: jsonl, paths: "a*.jsonl", pack_bytes: 0}
  b: {format: jsonl, paths: "b*.jsonl", allow_empty: true}
steps:
  - short.py:Short: {least: 5}
  - exact_dedup
"""


def write_lines(path: Path, texts: Sequence[str]) -> None:
    """JSON lines with ids from the file's name."""
    rows = [json.dumps({"id": f"{path.stem}{n}", "text": text}) for n, text in enumerate(texts)]
    path.write_text("".join(row + "\n" for row in rows))


def date(folder: Path) -> None:
    """Have the input be of one time, whenever it is made: then runs of two folders with the same
    files compute the same, under the same fingerprints."""
    for file in folder.glob("*.jsonl"):
        os.utime(file, (MADE, MADE))


def small_project(folder: Path, manifest: str = MANIFEST) -> Path:
    """Write the files of a small run; the path of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "short.py").write_text(FILTER)
    write_lines(folder / "a1.jsonl", ["the first text", "hm", "a second text", "the first text"])
    write_lines(folder / "a2.jsonl", ["one more text", "no"])
    write_lines(folder / "b1.jsonl", ["a second text", "quite another", "x"])
    date(folder)
    path = folder / "m.yaml"
    path.write_text(manifest)
    return path


def load(path: Path, *overrides: str, output: str = "out") -> Manifest:
    """The manifest with its output beside it."""
    return load_manifest(path, overrides, path.parent / output)


def winnow(
    *arguments: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=240,
    )


def task_folders(output: Path, stage: str) -> list[Path]:
    """Where the files of a stage's tasks are, in the order of its tasks' names."""
    saved = json.loads((output / "plan.json").read_text())
    tasks = saved["stages"][stage]["tasks"]
    store = output / saved["store"]
    return [
        store / "tasks" / tasks[key]["fingerprint"][:2] / tasks[key]["fingerprint"]
        for key in sorted(tasks)
    ]


def files_of(output: Path, stage: str, pattern: str = "kept/*.parquet") -> list[Path]:
    """Committed files of a stage."""
    return [path for folder in task_folders(output, stage) for path in folder.glob(pattern)]


def stages_of(output: Path) -> list[str]:
    """Names of the stages, in their order."""
    order: list[str] = json.loads((output / "plan.json").read_text())["order"]
    return order


def dropped_rows(output: Path) -> list[dict[str, Any]]:
    """Dropped documents of all stages, with step, reason and signals."""
    return list(rows_of(dropped_documents(output)))


def corpus_rows(output: Path) -> list[dict[str, Any]]:
    """The documents that the steps left."""
    files = sorted((output / "corpus").glob("*/*.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]


def contents(output: Path) -> dict[str, bytes]:
    """Every committed file and receipt of a run, by its path in the store."""
    saved = json.loads((output / "plan.json").read_text())
    return {
        f"{stage}/{path.relative_to(folder.parent.parent).as_posix()}": path.read_bytes()
        for stage in saved["order"]
        for folder in task_folders(output, stage)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
