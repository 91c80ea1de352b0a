"""Fault 11: a line of 100 MB is quarantined at the cap, and memory stays flat meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from reading import codes, packed, read_all, texts

from pipeline.sources.jsonl import JsonLines

HUGE = 100 * 10**6
# Peak memory (KiB) that reading adds to what importing the reader took.
MEASURE = """
import resource, sys
from pathlib import Path
from pipeline.sources.jsonl import JsonLines
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fmt = JsonLines(paths="*", max_row_bytes=2**20, max_ratio=1e9)
shards = fmt.freeze("web", Path(sys.argv[1]))
before = peak()
rows = [r.documents.num_rows + r.quarantined.num_rows for s in shards for r in fmt.read(s)]
print(*rows, peak() - before)
"""


@pytest.fixture(params=["", ".zst"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    lines = b'{"text": "a"}\n{"text": "' + b"x" * HUGE + b'"}\n{"text": "b"}\n'
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / ("a.jsonl" + request.param)).write_bytes(packed(lines, request.param))
    return folder


def test_only_that_line_is_quarantined(folder: Path) -> None:
    documents, quarantined = read_all(JsonLines(paths="a*", max_ratio=1e9), folder)
    assert texts(documents) == ["a", "b"]
    assert codes(quarantined) == [(1, "row-too-long")]
    assert quarantined[0]["raw_bytes"] == HUGE + 12
    assert len(quarantined[0]["raw"]) == 64 * 2**10


def test_memory_stays_flat(folder: Path, root: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)],
        capture_output=True, text=True, cwd=root, check=True,
    )  # fmt: skip
    rows, added = map(int, run.stdout.split())
    assert rows == 3
    assert added < 24 * 2**10
