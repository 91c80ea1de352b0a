"""``format: parquet``: rows of Parquet files, streamed page by page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Refusal, ShardError
from pipeline.sources.batches import Batches, RowError, decode_utf8, document_of
from pipeline.sources.decompress import RATIO_FROM_BYTES, check_kind
from pipeline.sources.file_lists import FileFormat, Found
from pipeline.sources.source import Read

BATCH_ROWS = 1_024
# Encodings that write a long value once and refer to it from many rows expand without the footer
# saying so. So dictionaries are kept as dictionaries; where that cannot be, few rows at a time.
EXPANDING_BATCH_ROWS = 64
_DICTIONARY = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}
# What Arrow raises on damaged files; the last for the name of a column.
_CORRUPT = (pa.ArrowException, OSError, UnicodeDecodeError)

# (name, type) of every column, sorted.
Columns = tuple[tuple[str, str], ...]


class ParquetFiles(FileFormat):
    """Parquet files with a string column for the text.

    Footers are read first: all files must have the same columns, and no row group may claim to
    expand to more than ``max_row_group_bytes`` or ``max_ratio`` times its size. Page checksums are
    verified where there are any. ``_offset`` is the number of the row in its file, from 0.
    """

    max_row_group_bytes: int = Field(
        default=4 * 2**30, gt=0, description="a row group that claims to expand to more fails"
    )

    def check_files(self, source: str, files: Sequence[Found]) -> None:
        """Raises Refusal ``parquet-schema`` naming the files. Those with unreadable footers are
        passed over here and fail when they are read."""
        groups: dict[Columns, list[str]] = {}
        for file in files:
            try:
                schema = pq.read_schema(file.path)
            except _CORRUPT:
                continue
            columns = tuple(sorted((field.name, _type_name(field.type)) for field in schema))
            groups.setdefault(columns, []).append(file.name)
        for columns, names in groups.items():
            wrong = self._wrong_column(columns)
            if wrong:
                raise Refusal(
                    "parquet-schema",
                    f"source {source!r}: {wrong} in {_listed(names)}",
                    f"the columns are {', '.join(f'{n}: {t}' for n, t in columns)}; say which "
                    "one is meant with text: and id:, or convert the files",
                )
        if len(groups) > 1:
            first, *others = groups.items()
            raise Refusal(
                "parquet-schema-differs",
                f"source {source!r}: {_listed(first[1])} and "
                + "; ".join(
                    f"{_listed(names)} differ in {_difference(first[0], columns)}"
                    for columns, names in others
                ),
                "make one source of each, or convert the files",
            )

    def _wrong_column(self, columns: Columns) -> str:
        types = dict(columns)
        if len(types) < len(columns):
            return "two columns of one name"
        if types.get(self.text) != "string":
            return f"text column {self.text!r} is {types.get(self.text, 'missing')}, not string,"
        identity = types.get(self.id, "string")
        if identity != "string" and not identity.startswith(("int", "uint")):
            return f"id column {self.id!r} is {identity}, neither string nor integer,"
        return ""

    def batches(self, source: str, path: Path, name: str) -> Generator[Read, None, str]:
        on_disk = path.stat().st_size
        if not on_disk:
            return hashlib.sha256(b"").hexdigest()
        check_kind(path, name, "Parquet")
        batches, expanded = Batches(source, self.max_row_bytes), 0
        for offset, row in enumerate(self._rows(path, name)):
            try:
                expanded += batches.add(name, offset, document_of(_decoded(row), self.field_names))
            except RowError as error:
                raw = row.get(self.text)
                batches.reject(name, offset, error, raw if isinstance(raw, bytes) else b"")
            self.caps.check(name, expanded, on_disk)
            if batches.full:
                yield batches.take()
        if batches.rows:
            yield batches.take()
        return sha256_file(path)

    def _rows(self, path: Path, name: str) -> Iterator[dict[str, Any]]:
        try:
            metadata = pq.read_metadata(path)
            self._check_footer(name, metadata, path.stat().st_size)
            columns, rows = _plan(metadata)
            with pq.ParquetFile(
                path,
                read_dictionary=columns,
                page_checksum_verification=True,
                pre_buffer=False,
                buffer_size=2**20,
            ) as file:
                for batch in file.iter_batches(rows, use_threads=False):
                    columns_of_values = [_values(column) for column in batch.columns]
                    for values in zip(*columns_of_values, strict=True):
                        yield dict(zip(batch.schema.names, values, strict=True))
        except _CORRUPT as error:
            raise ShardError(
                "corrupt-parquet",
                f"{name}: {error}",
                "fetch or write the file again; pages may be damaged where the footer is not",
            ) from error

    def _check_footer(self, name: str, metadata: pq.FileMetaData, on_disk: int) -> None:
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self.caps.check(name, sum(group.total_byte_size for group in groups), on_disk)
        for number, group in enumerate(groups):
            chunks = [group.column(i) for i in range(group.num_columns)]
            packed = sum(chunk.total_compressed_size for chunk in chunks)
            expanded = sum(chunk.total_uncompressed_size for chunk in chunks)
            over_ratio = expanded > max(RATIO_FROM_BYTES, self.max_ratio * packed)
            if expanded > self.max_row_group_bytes or over_ratio:
                limit = (
                    f"max_ratio: {self.max_ratio:g}"
                    if over_ratio
                    else f"max_row_group_bytes: {self.max_row_group_bytes}"
                )
                raise ShardError(
                    "decompression-bomb",
                    f"{name}: row group {number} of {packed} bytes expands to {expanded}, "
                    f"over {limit}",
                    "raise the limit in this source if the file is what it should be",
                )


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return "string" if is_string or pa.types.is_string_view(kind) else str(kind)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _difference(one: Columns, other: Columns) -> str:
    first, second = dict(one), dict(other)
    names = sorted(n for n in {*first, *second} if first.get(n) != second.get(n))
    return ", ".join(f"{n} ({first.get(n, 'missing')}, {second.get(n, 'missing')})" for n in names)


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


def _values(column: pa.Array) -> list[Any]:
    """Python values; strings as bytes, which unlike ``str`` can hold what is not UTF-8. Values of
    a dictionary are shared, however many rows refer to them. A value that Python cannot hold is
    the RowError that its row gets."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = _values(column.dictionary)
        return [None if i is None else values[i] for i in column.indices.to_pylist()]
    if _type_name(kind) == "string":
        column = pc.cast(column, pa.large_binary())
    elif pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        column = pc.cast(column, pa.string())  # keeps nanoseconds
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [_plain(value) for value in column.to_pylist()]
    try:
        found: list[Any] = column.to_pylist()
    except ValueError:
        found = [_value(scalar) for scalar in column]
    return found


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return RowError("invalid-utf8", f"not UTF-8 in a nested value: {error.reason}")
    except ValueError as error:
        return RowError("bad-value", str(error))


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: decode_utf8(value) if isinstance(value, bytes) else _plain(value)
        for name, value in row.items()
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it: binary in base64, decimals with all their digits."""
    if isinstance(value, RowError):
        raise value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
