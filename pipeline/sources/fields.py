"""Which fields of a row become a document, and which fields rows have.

A name with dots, ``meta.url``, is the field of that name where a row has one, and otherwise leads
into nested objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pipeline.errors import Problem
from pipeline.sources.rows import RowError, to_json

# How deep fields are listed for users.
_LISTED_DEPTH = 3
MAX_LISTED = 20


@dataclass(frozen=True)
class FieldNames:
    """Which fields of a row become which columns of a document."""

    text: str = "text"
    id: str = "id"
    url: str = "url"
    language: str = "language"


@dataclass(frozen=True)
class Document:
    """A row as a document. ``id`` is None where it must be derived from source and offset."""

    text: str
    id: str | None = None
    url: str | None = None
    language: str | None = None
    metadata: str | None = None


def document_of(row: Mapping[str, Any], names: FieldNames) -> Document:
    """The document that a row of JSON values describes.

    Fields that are not mapped go to ``metadata``, and so does a URL or language that is not a
    string. Raises RowError ``missing-text``, ``bad-id`` or ``non-finite-number``.
    """
    rest = dict(row)
    text = _take(rest, names.text)
    if not isinstance(text, str):
        shown = to_json(text)[:40].decode(errors="replace")
        found = "missing or null" if text is None else f"{shown}, not a string"
        raise RowError("missing-text", f"field {names.text!r} is {found}")
    identity = _identity(_take(rest, names.id), names.id)
    url = _take_string(rest, names.url)
    language = _take_string(rest, names.language)
    if not rest:
        return Document(text, identity, url, language)
    _check_finite(rest, "")
    return Document(text, identity, url, language, to_json(rest).decode())


def find_field(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field; None when the row has none of that name."""
    if name in row or "." not in name:
        return row.get(name)
    first, _, below = name.partition(".")
    inner = row.get(first)
    return find_field(inner, below) if isinstance(inner, Mapping) else None


def has_field(row: Mapping[str, Any], name: str) -> bool:
    """Whether the row has the field, be it null."""
    if name in row:
        return True
    first, _, below = name.partition(".")
    inner = row.get(first)
    return bool(below) and isinstance(inner, Mapping) and has_field(inner, below)


def _take(rest: dict[str, Any], name: str) -> Any:
    """The value of a field, which is taken out of ``rest``; objects left empty go with it."""
    if name in rest or "." not in name:
        return rest.pop(name, None)
    first, _, below = name.partition(".")
    if not isinstance(rest.get(first), Mapping):
        return None
    inner = dict(rest[first])
    value = _take(inner, below)
    if inner:
        rest[first] = inner
    else:
        del rest[first]
    return value


def _take_string(rest: dict[str, Any], name: str) -> str | None:
    value = find_field(rest, name)
    if value is None or isinstance(value, str):
        _take(rest, name)
        return value
    return None


def _identity(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    shown = to_json(value).decode()
    raise RowError(
        "bad-id", f"field {name!r} is {shown[:80]}, neither a string nor an integer of 64 bits"
    )


def _check_finite(value: Any, name: str) -> None:
    # JSON has no such numbers, and orjson would write null for them.
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            message = f"field {name!r} is {value}, which is not a JSON number"
            raise RowError("non-finite-number", message)
    elif kind is dict:
        for key, inner in value.items():
            _check_finite(inner, f"{name}.{key}" if name else str(key))
    elif kind is list:
        for inner in value:
            _check_finite(inner, name)


class FieldsSeen:
    """The fields that rows have, with the longest text in each."""

    def __init__(self) -> None:
        self._longest: dict[str, int] = {}
        self._rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows += 1
        for name, value in _flat(row, _LISTED_DEPTH):
            size = len(value) if isinstance(value, str) else 0
            self._longest[name] = max(size, self._longest.get(name, 0))

    @property
    def names(self) -> list[str]:
        return sorted(self._longest)

    def missing(self, field: str, name: str) -> Problem:
        """What to say when no row has ``name``, which the manifest gives as its ``field``."""
        message = f"none of the first {self._rows:,} rows has the field {name!r}"
        return missing_field(field, name, message, self.names, self._likely_text())

    def _likely_text(self) -> str:
        """The field with the longest text; "" when no field holds any."""
        name = max(self.names, key=lambda name: self._longest[name], default="")
        return name if self._longest.get(name) else ""


def missing_field(
    field: str, name: str, message: str, known: Sequence[str], likely_text: str
) -> Problem:
    """What to say when there is no ``name``, which the manifest gives as its ``field``.

    ``known`` are the fields there are; ``likely_text`` is the one that may hold the text.
    """
    near = get_close_matches(name, known, n=1)
    meant = likely_text if field == "text" else near[0] if near else ""
    return Problem(
        (field,),
        "no-such-field",
        f"{message}; there are {listed_fields(known)}",
        f"write {field}: {meant}" if meant else f"name one of these in {field}:, or leave it out",
    )


def listed_fields(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - MAX_LISTED} more" if len(shown) > MAX_LISTED else ""
    return ", ".join(shown[:MAX_LISTED]) + more


def _flat(row: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping) and value and depth > 1:
            for inner, found in _flat(value, depth - 1):
                yield f"{name}.{inner}", found
        else:
            yield name, value
