"""Fault 8: invalid UTF-8 costs its own row and no other."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import codes, read_all, string_table, texts

from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

BAD = [b"\xff", b"\xc3", b"\xc0\x80", b"\xf5\x80\x80\x80", b"caf\xe9"]


@pytest.mark.parametrize("bad", BAD)
def test_the_row_is_quarantined_with_its_bytes(tmp_path: Path, bad: bytes) -> None:
    rows = [b"before", bad, b"after"]
    (tmp_path / "a.jsonl").write_bytes(b"".join(b'{"text": "%s"}\n' % row for row in rows))
    pq.write_table(string_table(rows), tmp_path / "a.parquet")
    for fmt in (JsonLines(paths="a.jsonl"), ParquetFiles(paths="a.parquet")):
        documents, quarantined = read_all(fmt, tmp_path)
        assert texts(documents) == ["before", "after"]
        assert codes(quarantined) == [(1, "invalid-utf8")]
        assert bad in quarantined[0]["raw"]
