"""Rows of JSON mean the same on the fast path as on the careful one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.sources.json_rows import MAX_DEPTH, parse_carefully, parse_row
from pipeline.sources.rows import RowError, to_json

keys = st.text(st.sampled_from('a":\\ é'), max_size=3)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text()
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3)
)


def outcome(parse: Any, line: bytes, strict: bool) -> Any:
    try:
        return to_json(parse(line, strict))
    except RowError as error:
        return error.code


@given(
    members=st.lists(st.tuples(keys, values), max_size=4),
    ascii_only=st.booleans(),
    gap=st.sampled_from(["", " ", "\t", "  "]),
    strict=st.booleans(),
)
@example(members=[("a", 1), ("a", 1)], ascii_only=True, gap=" ", strict=True)
@example(members=[("b", '":": '), ("a", 1), ("a", 2)], ascii_only=True, gap="", strict=True)
def test_the_short_cut_changes_nothing(
    members: list[tuple[str, Any]], ascii_only: bool, gap: str, strict: bool
) -> None:
    """Objects written by hand, so that keys may repeat and stand apart from their colons."""
    dumps = json.JSONEncoder(ensure_ascii=ascii_only).encode
    text = "{" + ",".join(f"{dumps(k)}{gap}:{gap}{dumps(v)}" for k, v in members) + "}"
    line = text.encode("utf-8", "surrogatepass")
    assert outcome(parse_row, line, strict) == outcome(parse_carefully, line, strict)


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\u0dN1e. \t'), max_size=30))
def test_any_bytes_give_a_row_or_a_code(junk: bytes | str) -> None:
    line = junk if isinstance(junk, bytes) else junk.encode()
    assert outcome(parse_row, line, True) == outcome(parse_carefully, line, True)


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1, "a": 2}',
        b'{"a" : 1, "a"\t: 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"x": [{"a": 1, "a": 1}]}',
        b'{"t": "\\": \\":", "a": {}, "a": {}}',
    ],
)
def test_duplicate_keys_are_found_however_they_are_written(line: bytes) -> None:
    with pytest.raises(RowError) as caught:
        parse_row(line)
    assert caught.value.code == "duplicate-keys"
    assert parse_row(line, strict=False)


def test_numbers_keep_their_digits() -> None:
    literals = "[0.1234567890123456789, 1e400, 123456789012345678901234567890, 1.50, -7]"
    row = parse_row(b'{"n": ' + literals.encode() + b"}")
    assert to_json(row["n"]).decode() == literals.replace(" ", "")


def test_nesting_is_counted_outside_strings() -> None:
    brackets = b'{"t": "' + b"[{" * 500 + b'\\"", "n": '
    fits = brackets + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse_row(fits)["t"].startswith("[{[{")
    assert outcome(parse_carefully, fits, True) == outcome(parse_row, fits, True)
    for deep in (brackets + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", b"[" * 100_000):
        assert outcome(parse_row, deep, True) == "too-deep"


def test_hostile_quotes_take_linear_time() -> None:
    """Quadratic time would take hours here; the limit on tests would end it."""
    assert outcome(parse_row, b'{"a": [' + b"[" * 70 + b'"' + b'\\"' * 2_000_000, True) in (
        "too-deep",
        "malformed-json",
    )
