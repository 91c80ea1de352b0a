"""Rows of any file beside the corpus (evaluation sets, gold labels), read as sources are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import ShardError
from pipeline.sources.file_format import FileFormat, unreadable
from pipeline.sources.file_kinds import PARQUET, kind_by_name
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.rows import Digits, RowError


def read_rows(path: Path, name: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, fields) of every row of a file of JSON lines, plain or compressed, or of Parquet.

    Numbers count lines, or rows of Parquet, from 1; blank lines are no rows. ``name`` is what users
    see of the path. Raises ShardError: ``bad-row`` with the place of a row that cannot be read, and
    what sources raise for files (``unreadable``, ``wrong-format``, ``corrupt-compression``, ...).
    """
    name = name or str(path)
    kind: type[FileFormat] = ParquetFiles if kind_by_name(str(path)) == PARQUET else JsonLines
    try:
        for row in kind(paths=str(path)).rows(path, name):
            number, fields = row.offset + 1, row.fields
            if isinstance(fields, RowError):
                raise ShardError(
                    "bad-row",
                    f"{name}:{number}: {fields.code}: {fields.message}",
                    "mend the row, or take it out of the file",
                )
            yield number, {key: _with_numbers(value) for key, value in fields.items()}
    except OSError as error:
        raise unreadable(name, error) from error


def _with_numbers(value: Any) -> Any:
    """The value with floats for numbers that sources keep digit by digit."""
    if isinstance(value, Digits):
        return float(value)
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    return value
