"""Whether Parquet files can be one source: the columns they have, and those that are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import Problem, ShardError
from pipeline.sources.fields import missing_field
from pipeline.sources.parquet_rows import CORRUPT, footer
from pipeline.sources.source import InputFile
from pipeline.sources.storage import LOCAL, Storage

MAX_NAMED = 8


@dataclass
class _Alike:
    """Files with the same columns, by name; null stands for any type."""

    columns: dict[str, pa.DataType]
    names: list[str] = field(default_factory=list)


def check_columns(
    files: Sequence[InputFile],
    named: Mapping[str, str],
    required: Collection[str],
    storage: Storage = LOCAL,
) -> Iterator[Problem]:
    """What is wrong with columns, by the files' footers.

    ``named`` is the manifest's field → column; those in ``required`` must be there. Problems are
    ``no-such-field``, ``parquet-schema`` and ``parquet-schema-differs``.
    """
    groups: list[_Alike] = []
    sizes: Counter[str] = Counter()
    for file in files:
        try:
            with storage.on_disk(file) as copy, pq.ParquetFile(footer(copy, file.size)) as opened:
                schema = opened.schema_arrow
                sizes.update(_string_bytes(opened.metadata))
        except (*CORRUPT, ShardError):
            continue
        if len(set(schema.names)) < len(schema.names):
            yield Problem(
                ("paths",),
                "parquet-schema",
                f"two columns of one name in {file.name}: {', '.join(sorted(schema.names))}",
                "write the file again with a name for each column",
            )
            return
        _put(groups, {field.name: plain_type(field.type) for field in schema}, file.name)
    for group in groups:
        yield from _wrong_columns(group, named, required, sizes)
    if len(groups) > 1:
        yield _differing(groups)


def _put(groups: list[_Alike], columns: dict[str, pa.DataType], name: str) -> None:
    for group in groups:
        if group.columns.keys() == columns.keys():
            unified = {n: _unified(kind, columns[n]) for n, kind in group.columns.items()}
            if all(kind is not None for kind in unified.values()):
                group.columns = unified
                group.names.append(name)
                return
    groups.append(_Alike(columns, [name]))


def _wrong_columns(
    group: _Alike, named: Mapping[str, str], required: Collection[str], sizes: Mapping[str, int]
) -> Iterator[Problem]:
    known = [name for column in sorted(group.columns) for name in _nested(column, group.columns)]
    for place, name in named.items():
        kind = type_at(group.columns, name)
        if kind is None:
            if place in required:
                message = f"column {name!r} is missing in {_listed(group.names)}"
                likely = max(
                    (name for name in known if _is_text(type_at(group.columns, name))),
                    key=lambda name: sizes.get(name, 0),
                    default="",
                )
                yield missing_field(place, name, message, known, likely)
        elif wrong := _wrong_type(place, kind, name in group.columns):
            columns = ", ".join(f"{name}: {kind}" for name, kind in sorted(group.columns.items()))
            yield Problem(
                (place,),
                "parquet-schema",
                f"{place} column {name!r} is {kind}, {wrong}, in {_listed(group.names)}",
                f"the columns are {columns}; say which one is meant with {place}:, or convert the "
                "files",
            )


def _wrong_type(place: str, kind: pa.DataType, top_level: bool) -> str:
    string = pa.types.is_string(kind) or (pa.types.is_binary(kind) and top_level)
    if place == "text" and not string:
        return "not string"
    if place == "id" and not (string or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        return "neither string nor integer"
    return ""


def _is_text(kind: pa.DataType | None) -> bool:
    return kind is not None and (pa.types.is_string(kind) or pa.types.is_binary(kind))


def _differing(groups: Sequence[_Alike]) -> Problem:
    first, *others = groups
    differences = "; ".join(
        f"{_listed(other.names)} differ in {_difference(first.columns, other.columns)}"
        for other in others
    )
    return Problem(
        ("paths",),
        "parquet-schema-differs",
        f"{_listed(first.names)} and {differences}",
        "make one source of each, or convert the files",
    )


def _difference(one: Mapping[str, pa.DataType], other: Mapping[str, pa.DataType]) -> str:
    pairs = [(name, one.get(name), other.get(name)) for name in sorted({*one, *other})]
    return ", ".join(
        f"{name} ({first or 'missing'}, {second or 'missing'})"
        for name, first, second in pairs
        if first is None or second is None or _unified(first, second) is None
    )


def _string_bytes(metadata: pq.FileMetaData) -> dict[str, int]:
    """Bytes of values by column, nested ones with dots."""
    sizes: Counter[str] = Counter()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            sizes[chunk.path_in_schema] += chunk.total_uncompressed_size
    return sizes


def type_at(columns: Mapping[str, pa.DataType], name: str) -> pa.DataType | None:
    """The type of a column, or of a field within one by a name with dots; None without any."""
    if name in columns:
        return columns[name]
    first, _, below = name.partition(".")
    outer = columns.get(first)
    if not below or outer is None or not pa.types.is_struct(outer):
        return None
    return type_at({inner.name: inner.type for inner in outer}, below)


def _nested(name: str, columns: Mapping[str, pa.DataType]) -> Iterator[str]:
    kind = columns[name]
    if not pa.types.is_struct(kind):
        yield name
        return
    inner_columns = {inner.name: inner.type for inner in kind}
    for inner in inner_columns:
        yield from (f"{name}.{below}" for below in _nested(inner, inner_columns))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """``kind`` without what only says how values are stored: width, views and dictionaries."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if (
        types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return pa.binary()
    if types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if types.is_struct(kind):
        return pa.struct([(inner.name, plain_type(inner.type)) for inner in kind])
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type))
    return kind


def _unified(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type of columns that are ``one`` here and ``other`` there; null is of any type."""
    types = pa.types
    if types.is_null(one) or types.is_null(other):
        return other if types.is_null(one) else one
    if types.is_list(one) and types.is_list(other):
        inner = _unified(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_map(one) and types.is_map(other):
        key, item = (
            _unified(one.key_type, other.key_type),
            _unified(one.item_type, other.item_type),
        )
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_struct(one) and types.is_struct(other):
        second = {inner.name: inner.type for inner in other}
        if {inner.name for inner in one} != set(second):
            return None
        found = [(inner.name, _unified(inner.type, second[inner.name])) for inner in one]
        return None if any(kind is None for _, kind in found) else pa.struct(found)
    return one if one == other else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED} more"
