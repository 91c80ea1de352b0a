"""Rows of one Parquet file as JSON values, in bounded memory."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ShardError
from pipeline.sources.caps import RATIO_FROM_BYTES, Caps
from pipeline.sources.rows import Digits, Row, RowError, decode_utf8
from pipeline.sources.storage import OnDisk

BATCH_ROWS = 1_024
# Encodings that write a long value once and refer to it from many rows expand without the footer
# saying so. So dictionaries are kept as dictionaries; where that cannot be, few rows at a time.
EXPANDING_BATCH_ROWS = 64
_DICTIONARY = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}
# What Arrow raises on damaged files; the last for the name of a column.
CORRUPT = (pa.ArrowException, OSError, UnicodeDecodeError)


class RowGroups(NamedTuple):
    """Some row groups that follow each other: their numbers, how many rows are before them in the
    file, and the bytes that hold them."""

    numbers: range
    rows_before: int
    start: int
    end: int


def footer(file: OnDisk, size: int) -> Path:
    """The path of a file whose footer is there."""
    path = file.need(0, min(4, size))
    file.need(max(0, size - 8), size)
    with path.open("rb") as opened:
        opened.seek(max(0, size - 8))
        length = int.from_bytes(opened.read(4), "little")
    return file.need(max(0, size - 8 - length), size)


def row_groups(path: Path, name: str, start: int, end: int | None) -> RowGroups:
    """The row groups that begin from byte ``start`` of the file on and before byte ``end``.

    Raises ShardError ``corrupt-parquet``.
    """
    try:
        metadata = pq.read_metadata(path)
    except CORRUPT as error:
        raise _corrupt(name, error) from error
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    begins = [_begin(group) for group in groups]
    numbers = [n for n, at in enumerate(begins) if start <= at and (end is None or at < end)]
    if not numbers:
        return RowGroups(range(0), 0, start, start)
    first, after = numbers[0], numbers[-1] + 1
    return RowGroups(
        range(first, after),
        sum(group.num_rows for group in groups[:first]),
        begins[first],
        max(map(_end, groups[first:after])),
    )


def _begin(group: pq.RowGroupMetaData) -> int:
    chunks = map(group.column, range(group.num_columns))
    return min(
        (chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks), default=0
    )


def _end(group: pq.RowGroupMetaData) -> int:
    chunks = map(group.column, range(group.num_columns))
    return max(
        (
            (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size
            for chunk in chunks
        ),
        default=0,
    )


def parquet_rows(
    path: Path,
    name: str,
    named: Collection[str],
    caps: Caps,
    max_row_group_bytes: int,
    part: RowGroups | None = None,
) -> Iterator[Row]:
    """The rows of a file, or of some of its row groups; binary is text in the columns that are
    ``named``, elsewhere base64.

    Raises ShardError ``corrupt-parquet`` or ``decompression-bomb``.
    """
    text, *_ = named
    stored = _stored_rows(path, name, named, caps, max_row_group_bytes, part)
    for offset, row in enumerate(stored, part.rows_before if part else 0):
        raw = row.get(text)
        fields: Mapping[str, Any] | RowError
        try:
            fields = {column: _decoded(value) for column, value in row.items()}
        except RowError as error:
            fields = error
        yield Row(offset, fields, raw if isinstance(raw, bytes) else b"")


def _stored_rows(
    path: Path,
    name: str,
    named: Collection[str],
    caps: Caps,
    max_row_group_bytes: int,
    part: RowGroups | None,
) -> Iterator[dict[str, Any]]:
    """Rows with the values of ``_values``."""
    try:
        metadata = pq.read_metadata(path)
        _check_footer(name, metadata, path.stat().st_size, caps, max_row_group_bytes)
        columns, rows = _plan(metadata)
        with pq.ParquetFile(
            path,
            read_dictionary=columns,
            page_checksum_verification=True,
            pre_buffer=False,
            buffer_size=2**20,
        ) as file:
            numbers = list(part.numbers) if part else None
            for batch in file.iter_batches(rows, numbers, use_threads=False):
                names = batch.schema.names
                values = [
                    _values(column, names[i] in named) for i, column in enumerate(batch.columns)
                ]
                for row in zip(*values, strict=True):
                    yield dict(zip(names, row, strict=True))
    except CORRUPT as error:
        raise _corrupt(name, error) from error


def _corrupt(name: str, error: Exception) -> ShardError:
    return ShardError(
        "corrupt-parquet",
        f"{name}: {error}",
        "fetch or write the file again; pages may be damaged where the footer is not",
    )


def _check_footer(
    name: str, metadata: pq.FileMetaData, on_disk: int, caps: Caps, max_row_group_bytes: int
) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    caps.check(name, sum(group.total_byte_size for group in groups), on_disk)
    for number, group in enumerate(groups):
        chunks = [group.column(i) for i in range(group.num_columns)]
        packed = sum(chunk.total_compressed_size for chunk in chunks)
        expanded = sum(chunk.total_uncompressed_size for chunk in chunks)
        over_ratio = expanded > max(RATIO_FROM_BYTES, caps.max_ratio * packed)
        if expanded > max_row_group_bytes or over_ratio:
            limit = (
                f"max_ratio: {caps.max_ratio:g}"
                if over_ratio
                else f"max_row_group_bytes: {max_row_group_bytes}"
            )
            raise ShardError(
                "decompression-bomb",
                f"{name}: row group {number} of {packed} bytes expands to {expanded}, over {limit}",
                "raise the limit in this source if the file is what it should be",
            )


def _plan(metadata: pq.FileMetaData) -> tuple[list[str], int]:
    """Columns to keep as dictionaries, and how many rows to ask for at once."""
    keep: set[str] = set()
    rows = BATCH_ROWS
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            if chunk.physical_type != "BYTE_ARRAY":
                continue
            encodings = set(chunk.encodings)
            if "DELTA_BYTE_ARRAY" in encodings:
                rows = EXPANDING_BATCH_ROWS
            if encodings & _DICTIONARY:
                keep.add(chunk.path_in_schema)
    top_level = set(metadata.schema.to_arrow_schema().names)
    return sorted(keep & top_level), rows if keep <= top_level else EXPANDING_BATCH_ROWS


def _values(column: pa.Array, is_text: bool) -> list[Any]:
    """Python values; text as bytes, which unlike ``str`` can hold what is not UTF-8. Values of a
    dictionary are shared, however many rows refer to them. A value that Python cannot hold is the
    RowError that its row gets."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = _values(column.dictionary, is_text)
        return [None if i is None else values[i] for i in column.indices.to_pylist()]
    if is_binary(kind):
        found: list[Any] = column.to_pylist()
        return found if is_text else [_json(value) for value in found]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = pc.cast(column, pa.large_binary())
    else:
        written = _times_written(kind)
        if written != kind:
            column = pc.cast(column, written)
    try:
        found = column.to_pylist()
    except (ValueError, OverflowError):
        found = [_value(scalar) for scalar in column]
    return found


def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes, however they are stored."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _times_written(kind: pa.DataType) -> pa.DataType:
    """``kind`` with strings for dates and times, at any depth: Arrow writes nanoseconds, and times
    that Python's types cannot hold as ``<value out of range: …>``."""
    types = pa.types
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind):
        return pa.string()
    if types.is_struct(kind):
        return pa.struct([inner.with_type(_times_written(inner.type)) for inner in kind])
    if types.is_map(kind):
        return pa.map_(kind.key_field.type, _times_written(kind.item_type))
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_times_written(kind.value_type)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_times_written(kind.value_type)))
    return kind


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return RowError("invalid-utf8", f"not UTF-8 in a nested value: {error.reason}")
    except (ValueError, OverflowError) as error:
        return RowError("bad-value", str(error))


def _decoded(value: Any) -> Any:
    return decode_utf8(value) if isinstance(value, bytes) else _json(value)


def _json(value: Any) -> Any:
    """A value as JSON has it: binary in base64, decimals with all their digits."""
    if isinstance(value, RowError):
        raise value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return Digits(str(value))
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value
