from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks import documents

from pipeline import parquet
from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.errors import ShardError
from pipeline.parquet import DocumentWriter, read_documents

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=50), max_size=30)


@given(TEXTS, st.integers(1, 7))
@settings(max_examples=40)
def test_what_is_written_is_read_back(texts: list[str], size: int) -> None:
    import tempfile

    batch = documents(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        with DocumentWriter(path, DOCUMENT_SCHEMA) as writer:
            for start in range(0, len(texts), size):
                writer.write(batch.slice(start, size))
        read = pa.Table.from_batches(read_documents(path), DOCUMENT_SCHEMA)
        assert read.equals(pa.Table.from_batches([batch]))


def test_equal_batches_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with DocumentWriter(tmp_path / name, DOCUMENT_SCHEMA) as writer:
            writer.write(documents(["one", "two"]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_rows_still_give_a_file_with_the_columns_seen(tmp_path: Path) -> None:
    empty = documents([]).append_column("score", pa.array([], pa.float32()))
    with DocumentWriter(tmp_path / "x", DOCUMENT_SCHEMA) as writer:
        writer.write(empty)
    assert pq.read_schema(tmp_path / "x").names == empty.schema.names
    assert list(read_documents(tmp_path / "x")) == []


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 10_000)
    with DocumentWriter(tmp_path / "x", DOCUMENT_SCHEMA) as writer:
        for _ in range(5):
            writer.write(documents(["x" * 6_000, "y" * 6_000]))
    assert pq.read_metadata(tmp_path / "x").num_row_groups == 5


def test_batches_of_long_documents_have_fewer_rows(tmp_path: Path) -> None:
    with DocumentWriter(tmp_path / "x", DOCUMENT_SCHEMA) as writer:
        writer.write(documents([f"{n} " * 1_000_000 for n in range(40)]))
    batches = list(read_documents(tmp_path / "x"))
    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == 40


def test_failed_block_writes_no_footer(tmp_path: Path) -> None:
    def fail() -> None:
        with DocumentWriter(tmp_path / "x", DOCUMENT_SCHEMA) as writer:
            writer.write(documents(["a"]))
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert not (tmp_path / "x").exists()


def test_truncated_file_is_a_shard_error(tmp_path: Path) -> None:
    with DocumentWriter(tmp_path / "x", DOCUMENT_SCHEMA) as writer:
        writer.write(documents(["a" * 1000]))
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-9])
    with pytest.raises(ShardError, match="x: ") as caught:
        list(read_documents(tmp_path / "x"))
    assert caught.value.code == "corrupt-parquet"
