"""Tables of other libraries as Arrow tables, and back. None of these libraries is required."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import pyarrow as pa

from pipeline.errors import WinnowError

T = TypeVar("T")


def to_table(data: object) -> pa.Table:
    """An Arrow table with the rows of ``data``. Raises WinnowError when it is no table."""
    library = _library(data)
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if library == "pandas":
        return pa.Table.from_pandas(data, preserve_index=True)
    if library == "datasets":
        return cast(Any, data).with_format("arrow")[:]
    if hasattr(data, "__arrow_c_stream__"):
        return _without_views(pa.table(data))
    message = f"{type(data).__name__} is no table that can be filtered"
    hint = "give a pyarrow Table or RecordBatch, a pandas or polars frame, a datasets.Dataset"
    raise WinnowError("not-a-table", message, hint)


def from_table(like: T, table: pa.Table) -> T:
    """``table`` as an object of the kind of ``like``."""
    library, made = _library(like), cast(Any, like)
    if isinstance(like, pa.RecordBatch):
        arrays = [column.combine_chunks() for column in table.columns]
        return cast(T, pa.RecordBatch.from_arrays(arrays, schema=table.schema))
    if library == "pandas":
        return cast(T, table.to_pandas())
    if library == "polars":
        return cast(T, type(made)(table))
    if library == "datasets":
        return cast(T, type(made).from_dict({n: table[n].to_pylist() for n in table.column_names}))
    return cast(T, table)


def _without_views(table: pa.Table) -> pa.Table:
    """The same with texts that lie in one piece: Arrow takes no rows out of views (polars')."""
    fields = [
        pa.field(field.name, pa.large_string()) if pa.types.is_string_view(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _library(data: object) -> str:
    return type(data).__module__.partition(".")[0]
