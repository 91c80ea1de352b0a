"""Fault 18: Parquet without the columns that were named is refused from its footer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import problems

from pipeline.sources.parquet_files import ParquetFiles


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"content": ["a"]}, "'text' is missing"),
        ({"content": [{"text": "a"}]}, "'text' is missing"),
        ({"text": [1]}, "'text' is int64"),
        ({"text": [["a"]]}, "'text' is list"),
        ({"text": ["a"], "id": [1.0]}, "'id' is double"),
    ],
)
def test_the_column_and_the_files_are_named(
    tmp_path: Path, columns: dict[str, list], said: str
) -> None:
    for name in ("one", "two"):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    [found] = problems(ParquetFiles(paths="*.parquet"), tmp_path)
    place, code = found.path[0], found.code
    assert code == ("no-such-field" if "content" in columns else "parquet-schema")
    for part in (said, "one.parquet", "two.parquet"):
        assert part in found.message
    assert f"{place}:" in found.hint
