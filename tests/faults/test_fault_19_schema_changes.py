"""Fault 19: files of one source with different columns are refused, and listed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import codes, problems, read_all, texts

from pipeline.sources.parquet_files import ParquetFiles


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"text": ["a"], "n": ["1"]}, "n (int64, string)"),
        ({"text": ["a"]}, "n (int64, missing)"),
        ({"text": ["a"], "n": [1], "m": [1]}, "m (missing, int64)"),
    ],
)
def test_the_files_that_differ_are_listed(
    tmp_path: Path, other: dict[str, list], said: str
) -> None:
    for name in ("a", "b", "d"):
        pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / f"{name}.parquet")
    pq.write_table(pa.table(other), tmp_path / "c.parquet")
    [found] = problems(ParquetFiles(paths="*.parquet"), tmp_path)
    assert (found.path, found.code) == (("paths",), "parquet-schema-differs")
    assert f"a.parquet, b.parquet, d.parquet and c.parquet differ in {said}" in found.message


def test_order_and_string_width_are_no_difference(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    wide = pa.table({"n": [1], "text": pa.array(["a"], pa.large_string())})
    pq.write_table(wide, tmp_path / "b.parquet")
    assert not problems(ParquetFiles(paths="*.parquet"), tmp_path)


NULL = pa.nulls(1)
STRING = pa.array(["x"])


@pytest.mark.parametrize(
    ("typed", "null"),
    [
        (STRING, NULL),
        (pa.array([["x"]]), pa.array([[None]])),
        (pa.array([{"a": "x", "b": 1}]), pa.array([{"b": None, "a": "x"}])),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
         pa.array([[("k", None)]], pa.map_(pa.string(), pa.null()))),
    ],
)  # fmt: skip
def test_null_is_no_type_of_its_own(tmp_path: Path, typed: pa.Array, null: pa.Array) -> None:
    for name, column in (("a", null), ("b", typed), ("c", null)):
        pq.write_table(pa.table({"text": ["a"], "n": column}), tmp_path / f"{name}.parquet")
    fmt = ParquetFiles(paths="*.parquet")
    assert not problems(fmt, tmp_path)
    documents, quarantined = read_all(fmt, tmp_path)
    assert (len(documents), quarantined) == (3, [])


def test_two_types_stay_two_beside_null(tmp_path: Path) -> None:
    for name, column in (("a", NULL), ("b", pa.array([1])), ("c", STRING)):
        pq.write_table(pa.table({"text": ["a"], "n": column}), tmp_path / f"{name}.parquet")
    [found] = problems(ParquetFiles(paths="*.parquet"), tmp_path)
    assert "a.parquet, b.parquet and c.parquet differ in n (int64, string)" in found.message


def test_a_text_that_is_null_in_one_file_is_missing_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": NULL}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": STRING}), tmp_path / "b.parquet")
    fmt = ParquetFiles(paths="*.parquet")
    assert not problems(fmt, tmp_path)
    documents, quarantined = read_all(fmt, tmp_path)
    assert (texts(documents), codes(quarantined)) == (["x"], [(0, "missing-text")])
