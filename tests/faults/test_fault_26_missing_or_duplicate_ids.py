"""Fault 26: missing ids are derived from source and place; duplicate ones are left to a gate."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reading import json_lines, read_all

from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

ROWS = [
    {"id": None, "text": "a"},
    {"id": "x", "text": "b"},
    {"id": "x", "text": "c"},
    {"id": "", "text": "d"},
]


def test_ids(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(json_lines(ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "b")
    for fmt in (JsonLines(paths="a"), ParquetFiles(paths="b")):
        documents, quarantined = read_all(fmt, tmp_path)
        assert quarantined == []
        ids = [row["id"] for row in documents]
        assert ids == [f"web/{fmt.paths}#0", "x", "x", f"web/{fmt.paths}#3"]
        assert len({(row["_source"], row["_offset"]) for row in documents}) == len(ROWS)
