"""Fault 5: Parquet that expands too far fails, by its footer where the footer says so."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import freeze, rows_of

from pipeline.errors import ShardError
from pipeline.sources.parquet_files import ParquetFiles


def fail(folder: Path, **caps: float) -> ShardError:
    fmt = ParquetFiles.model_validate({"paths": "bomb.parquet", **caps})
    [shard] = freeze(fmt, folder)
    with pytest.raises(ShardError) as caught:
        rows_of(fmt.read(shard))  # checks the size of every batch
    return caught.value


def test_sizes_in_the_footer_are_checked_first(tmp_path: Path) -> None:
    texts = pa.array([" " * 2**20] * 100)
    pq.write_table(
        pa.table({"text": texts}), tmp_path / "bomb.parquet", compression="zstd",
        use_dictionary=False, write_statistics=False,
    )  # fmt: skip
    assert "max_ratio" in fail(tmp_path).message
    assert "max_row_group_bytes" in fail(tmp_path, max_ratio=1e9, max_row_group_bytes=2**20).message
    error = fail(tmp_path, max_ratio=1e9, max_bytes=2**20)
    assert (error.code, "max_bytes: 1048576" in error.message) == ("decompression-bomb", True)


def test_a_dictionary_that_expands_behind_the_footers_back(tmp_path: Path) -> None:
    """200 GB of text in a kilobyte: one value, named by 200,000 rows."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), ["x" * 10**6])
    pq.write_table(pa.table({"text": values}), tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2_000
    assert fail(tmp_path).code == "decompression-bomb"
