"""Fault 13, the reader's part: empty and blank texts are documents, for steps to judge."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from reading import json_lines, read_all, string_table, texts

from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

BLANK = ["", " ", "\n\t", "\u00a0"]


def test_blank_texts_are_read_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines({"text": text} for text in BLANK))
    pq.write_table(string_table([text.encode() for text in BLANK]), tmp_path / "a.parquet")
    for fmt in (JsonLines(paths="a.jsonl"), ParquetFiles(paths="a.parquet")):
        documents, quarantined = read_all(fmt, tmp_path)
        assert (texts(documents), quarantined) == (BLANK, [])
