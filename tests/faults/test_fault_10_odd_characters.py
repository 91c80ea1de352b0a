"""Fault 10: NUL, byte order marks and bidi controls are text; they are kept as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import json_lines, packed, read_all, string_table, texts

from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

ODD = ["\0", "\ufeffx", "a\u202eb\u2066c", "\u2028\x85\x0b", "\ufffe\U0010ffff", "\r"]


def test_odd_characters_are_kept_by_every_reader(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines({"text": text} for text in ODD))
    pq.write_table(string_table([text.encode() for text in ODD]), tmp_path / "a.parquet")
    for fmt in (JsonLines(paths="a.jsonl"), ParquetFiles(paths="a.parquet")):
        documents, quarantined = read_all(fmt, tmp_path)
        assert (texts(documents), quarantined) == (ODD, [])


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_mark_at_the_start_of_the_file_is_no_text(tmp_path: Path, suffix: str) -> None:
    row = b'{"text": "a"}\n'
    (tmp_path / ("a.jsonl" + suffix)).write_bytes(packed(b"\xef\xbb\xbf" + row * 2, suffix))
    documents, quarantined = read_all(JsonLines(paths="a*"), tmp_path)
    assert (texts(documents), quarantined) == (["a", "a"], [])


def test_a_mark_further_on_is_not_json(tmp_path: Path) -> None:
    row = b'{"text": "a"}\n'
    (tmp_path / "a.jsonl").write_bytes(row + b"\xef\xbb\xbf" + row)
    documents, quarantined = read_all(JsonLines(paths="a*"), tmp_path)
    assert (len(documents), quarantined[0]["code"]) == (1, "malformed-json")
