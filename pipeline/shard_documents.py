"""The documents of one shard: a file of documents, seen through what later stages decided.

A stage that edits no text writes no documents. It writes an annotation: a Parquet file with one row
for each document that stays, its place among the documents before in ``_row`` and the columns that
steps added. A reader of documents goes through the annotations in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import ShardError
from pipeline.parquet import read_documents, read_table

# Place of a document among those before [rows], ascending.
ROW = "_row"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardDocuments:
    """Documents of DOCUMENT_SCHEMA and the columns that steps added, in their order.

    ``file`` holds documents, ``annotations`` what each stage since then left of them. Memory while
    reading: a batch, and 8 bytes and the added columns for each document of the shard.
    """

    file: Path
    annotations: tuple[Path, ...] = ()

    def __len__(self) -> int:
        import pyarrow.parquet as pq

        *_, last = (self.file, *self.annotations)
        return int(pq.read_metadata(last).num_rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns that each document has."""
        import pyarrow.parquet as pq

        schema = pq.read_schema(self.file)
        for path in self.annotations:
            for field in pq.read_schema(path):
                if field.name != ROW:
                    schema = _with(schema, field)
        return schema

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of at most 4,096 rows and about 64 MB, none of them empty.

        Raises ShardError when a file is not what was written.
        """
        if not self.annotations:
            yield from read_documents(self.file, columns)
            return
        rows, added = self._seen
        names = self.schema.names if columns is None else list(columns)
        stored = [name for name in names if name not in added]
        begin = start = 0
        for batch in read_documents(self.file, stored):
            end = start + int(np.searchsorted(rows[start:], begin + batch.num_rows))
            if end > start:
                here = batch.take(pa.array(rows[start:end] - begin))
                extra = {name: added[name].slice(start, end - start) for name in added}
                yield _joined(here, extra, names)
            begin, start = begin + batch.num_rows, end
        if start < len(rows):
            raise ShardError(
                "corrupt-parquet",
                f"{self.file.name} has {begin} documents, and document {rows[start]} was kept",
                "delete the file; the next run makes it again",
            )

    def take(
        self,
        rows: Rows,
        columns: Sequence[str],
        shorten: Callable[[pa.ChunkedArray], pa.ChunkedArray] = lambda text: text,
    ) -> pa.Table:
        """``columns`` of the documents at ``rows`` (ascending). Only their row groups are read, and
        ``text`` is made shorter right away: one may be a thousand times as long as is needed."""
        import pyarrow.parquet as pq

        places, added = rows, dict[str, pa.Array]()
        if self.annotations:
            kept, later = self._seen
            places = kept[rows]
            added = {name: later[name].take(pa.array(rows)) for name in columns if name in later}
        stored = [name for name in columns if name not in added]
        tables = []
        with pq.ParquetFile(self.file, page_checksum_verification=True) as file:
            schema, begin = file.schema_arrow, 0
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                inside = places[(places >= begin) & (places < end)]
                if len(inside):
                    table = file.read_row_group(group, columns=stored)
                    table = table.take(pa.array(inside - begin))
                    if "text" in stored:
                        index = table.schema.get_field_index("text")
                        table = table.set_column(index, "text", shorten(table["text"]))
                    tables.append(table)
                begin = end
        if not tables:
            tables = [schema.empty_table().select([n for n in stored if n in schema.names])]
        found = pa.concat_tables(tables).combine_chunks()
        every = {name: found[name] for name in found.column_names} | added
        return pa.table({name: every[name] for name in columns if name in every})

    @cached_property
    def _seen(self) -> tuple[Rows, dict[str, pa.Array]]:
        """The places in ``file`` of the documents that are left, and the columns added to them."""
        rows: Rows | None = None
        added: dict[str, pa.Array] = {}
        for path in self.annotations:
            table = read_table(path)
            at = table.column(ROW).to_numpy()
            rows = at if rows is None else rows[at]
            added = {name: values.take(pa.array(at)) for name, values in added.items()}
            for name in table.column_names:
                if name != ROW:
                    added[name] = _array(table.column(name))
        assert rows is not None, "there are annotations"
        return rows, added


def write_annotation(path: Path, rows: Rows, columns: Mapping[str, pa.ChunkedArray]) -> None:
    """Write which ``rows`` [n] (ascending) are left, and the ``columns`` [n] added to them."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    places = pa.field(ROW, pa.int64(), nullable=False)
    fields = [places, *(pa.field(name, values.type) for name, values in columns.items())]
    table = pa.table([pa.array(rows), *columns.values()], schema=pa.schema(fields))
    strings = [field.name for field in fields if pa.types.is_large_string(field.type)]
    pq.write_table(
        table,
        path,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=strings,
        column_encoding={ROW: "DELTA_BINARY_PACKED"},
    )


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _with(schema: pa.Schema, field: pa.Field) -> pa.Schema:
    index = schema.get_field_index(field.name)
    return schema.append(field) if index < 0 else schema.set(index, field)


def _joined(
    batch: pa.RecordBatch, added: Mapping[str, pa.Array], names: Sequence[str]
) -> pa.RecordBatch:
    """The columns ``names`` [rows], each from where it is."""
    fields, arrays = [], []
    for name in names:
        values = added[name] if name in added else batch.column(name)
        nullable = name in added or batch.schema.field(name).nullable
        fields.append(pa.field(name, values.type, nullable))
        arrays.append(values)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
