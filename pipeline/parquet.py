"""Documents on disk: Parquet with page checksums, written and read in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.documents import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from pipeline.errors import ShardError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 32 * 2**20


class DocumentWriter:
    """Writes batches of one schema into row groups of about 32 MB.

    The schema is that of the batches, or ``schema`` when none ever comes.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._schema = batch.schema
        if not batch.num_rows:
            return
        self._pending.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._path,
                self._schema,
                compression="zstd",
                compression_level=1,
                write_page_checksum=True,
                # Texts hardly repeat: a dictionary of them costs time and saves nothing.
                use_dictionary=[
                    n for n in self._schema.names if n in ("source", "_source", "language")
                ],
            )
        if self._pending:
            table = pa.Table.from_batches(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._pending, self._bytes = [], 0


def read_documents(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of at most 4,096 rows and about 64 MB, page checksums verified.

    Raises ShardError when the file is not what was written.
    """
    import pyarrow.parquet as pq

    with _sound(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(_batch_rows(file.metadata), columns=columns)


def read_table(path: Path) -> pa.Table:
    """A whole file, page checksums verified. Raises ShardError as ``read_documents`` does."""
    import pyarrow.parquet as pq

    with _sound(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read().combine_chunks()


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            "corrupt-parquet",
            f"{path.name}: {error}",
            "delete the file; the next run makes it again",
        ) from error


def _batch_rows(metadata: pq.FileMetaData) -> int:
    rows = MAX_BATCH_ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        mean = max(1, group.total_byte_size // max(1, group.num_rows))
        rows = min(rows, max(1, MAX_BATCH_BYTES // mean))
    return rows
