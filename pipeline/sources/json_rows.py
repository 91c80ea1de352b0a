"""One line of JSON to one row, exactly: what is ambiguous or lossy is refused, not guessed.

orjson is fast, but keeps the last of duplicate keys and rounds numbers that do not fit. So a row is
taken from orjson only when neither can have happened, and otherwise parsed again with the standard
library, which is slower and tells.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from pipeline.sources.rows import Digits, RowError, decode_utf8

MAX_DEPTH = 64
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1

# Every key ends in a quote and a colon. Strings may hold the same (``\":``), so this counts at
# least the keys that were written; when it equals the keys that were kept, none was written twice.
_KEY_END = re.compile(rb'"[ \t\r]*:')
# A string, or what is left of one; possessive, hence linear on any input.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def parse_row(line: bytes, strict: bool = True) -> dict[str, Any]:
    """The object on ``line``. Numbers that no int of 64 bits holds are ``Digits``; floats may be.

    Raises RowError: ``invalid-utf8``, ``lone-surrogate``, ``malformed-json``, ``not-an-object``,
    ``non-finite-number``, ``too-deep`` (over 64 levels), and when ``strict`` ``duplicate-keys``.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return parse_carefully(line, strict)
    if isinstance(row, dict):
        keys = _count_keys(row, 1)
        if keys is not None and (not strict or keys == len(_KEY_END.findall(line))):
            return row
    return parse_carefully(line, strict)


def _count_keys(value: Any, depth: int) -> int | None:
    """Keys in a container at ``depth`` and below; None when it is too deep or holds a float,
    which may be a rounded number."""
    if depth > MAX_DEPTH:
        return None
    is_object = isinstance(value, dict)
    keys = len(value) if is_object else 0
    for item in value.values() if is_object else value:
        kind = type(item)
        if kind is float:
            return None
        if kind is dict or kind is list:
            below = _count_keys(item, depth + 1)
            if below is None:
                return None
            keys += below
    return keys


def parse_carefully(line: bytes, strict: bool = True) -> dict[str, Any]:
    """What ``parse_row`` means, without its short cut."""
    text = decode_utf8(line)
    _check_depth(line)
    try:
        row = json.loads(
            text,
            object_pairs_hook=_object if strict else None,
            parse_int=_integer,
            parse_float=Digits,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at character {error.pos}"
        raise RowError("malformed-json", message) from None
    if not isinstance(row, dict):
        raise RowError("not-an-object", f"a JSON {type(row).__name__}, not an object")
    _check_surrogates(row)
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError("duplicate-keys", f"key {ascii(twice)[:80]} is there more than once")
    return members


def _integer(literal: str) -> int | Digits:
    # 20 digits hold 2**64 - 1; int() of very long literals is slow and refused by Python itself.
    if len(literal) <= 20:
        value = int(literal)
        if _SMALLEST <= value <= _LARGEST:
            return value
    return Digits(literal)


def _constant(literal: str) -> None:
    raise RowError("non-finite-number", f"{literal} is not a JSON number")


def _check_depth(line: bytes) -> None:
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", line)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RowError("too-deep", f"nested over {MAX_DEPTH} levels")


def _check_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            point = ord(value[error.start])
            raise RowError("lone-surrogate", f"escaped surrogate \\u{point:04x}") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)
