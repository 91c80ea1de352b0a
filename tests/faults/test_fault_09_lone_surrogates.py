"""Fault 9: lone surrogates get the same code from every reader."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reading import codes, read_all, string_table, texts

from pipeline.sources import installed_documents
from pipeline.sources.installed_documents import Unusable
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

ENCODED = b"\xed\xa0\xbd"  # U+D83D, half of a pair


@pytest.mark.parametrize("written", [b"\\ud83d", b"\\uDC00x", b"a\\ud83d\\u0041", ENCODED])
@pytest.mark.parametrize("row", [b'{"text": "%s"}', b'{"text": "", "x": [{"%s": 1}]}'])
def test_json_lines(tmp_path: Path, written: bytes, row: bytes) -> None:
    lines = [b'{"text": "\\ud83d\\ude00"}', row % written]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert texts(documents) == ["😀"]
    assert codes(quarantined) == [(1, "lone-surrogate")]


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(string_table([b"a", ENCODED]), tmp_path / "a.parquet")
    _, quarantined = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert codes(quarantined) == [(1, "lone-surrogate")]


def test_installed_text() -> None:
    [item] = installed_documents.documents("licenses", "site/x", ENCODED)
    assert isinstance(item, Unusable)
    assert item.error.code == "lone-surrogate"
