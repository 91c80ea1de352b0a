"""Fault 12: a text column over 2 GiB is read in batches of large strings."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reading import freeze

from pipeline.documents import MAX_BATCH_BYTES
from pipeline.sources.parquet_files import ParquetFiles


def test_a_row_group_of_over_two_gibibytes_is_split(tmp_path: Path) -> None:
    """Written as a dictionary, so that the file is small; read, it is 2.2 GB of text."""
    rows, size = 275, 8_000_000
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * size])
    assert rows * size > 2**31
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet", compression="zstd")
    fmt = ParquetFiles(paths="a.parquet", max_ratio=1e9)
    [shard] = freeze(fmt, tmp_path)
    seen = 0
    for read in fmt.read(shard):
        if read.documents is None:
            continue
        assert read.documents.nbytes <= MAX_BATCH_BYTES
        assert read.documents.schema.field("text").type == pa.large_string()
        seen += read.documents.num_rows
    assert seen == rows
