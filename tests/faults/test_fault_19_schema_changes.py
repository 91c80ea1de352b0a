"""Fault 19: files of one source with different columns are refused, and listed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import freeze

from pipeline.errors import Refusal
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
    with pytest.raises(Refusal) as caught:
        freeze(ParquetFiles(paths="*.parquet"), tmp_path)
    assert caught.value.code == "parquet-schema-differs"
    assert f"a.parquet, b.parquet, d.parquet and c.parquet differ in {said}" in caught.value.message


def test_order_and_string_width_are_no_difference(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    wide = pa.table({"n": [1], "text": pa.array(["a"], pa.large_string())})
    pq.write_table(wide, tmp_path / "b.parquet")
    assert len(freeze(ParquetFiles(paths="*.parquet"), tmp_path)) == 2
