"""What a format yields: one row at a time, or why a row cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

# Two rows of this size, with their ids, fit into a batch.
MAX_ROW_BYTES = 24 * 2**20
# Of a bad row at most this much is kept.
QUARANTINE_RAW_BYTES = 64 * 2**10


class RowError(Exception):
    """One row cannot become a document. ``code`` is the same from every reader."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Digits:
    """A number as a file has it, where no int of 64 bits holds it and a float may be another."""

    __slots__ = ("literal",)  # no dataclass, which orjson would write as an object

    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __float__(self) -> float:
        return float(self.literal)


def to_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, numbers with the digits that they were read with."""
    return orjson.dumps(value, default=_json_of, option=orjson.OPT_SORT_KEYS)


def _json_of(value: Any) -> Any:
    return orjson.Fragment(value.literal) if isinstance(value, Digits) else str(value)


class Row(NamedTuple):
    """A row of a file: its ``fields``, or the RowError for which it goes to quarantine.

    ``offset`` is the number of the line or row in its file, from 0, and grows from row to row.
    ``raw`` are the row's bytes as they are in the file, kept in quarantine when the row is bad;
    where they are only the beginning, ``raw_bytes`` is the size of the whole.
    """

    offset: int
    fields: Mapping[str, Any] | RowError
    raw: bytes = b""
    raw_bytes: int | None = None


def decode_utf8(raw: bytes) -> str:
    """``raw`` as text. Raises RowError ``lone-surrogate`` or ``invalid-utf8``."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte {error.start}: 0x{raw[error.start]:02x}"
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise RowError("invalid-utf8", f"not UTF-8 at {where}") from None
    raise RowError("lone-surrogate", f"encoded surrogate at {where}")


def too_long(size: int, cap: int) -> RowError:
    return RowError("row-too-long", f"{size} bytes, more than max_row_bytes: {cap}")
