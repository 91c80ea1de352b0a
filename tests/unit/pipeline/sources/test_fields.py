"""Fields are found by name or along dots, and what no row has is named with what there is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.fields import (
    Document,
    FieldNames,
    FieldsSeen,
    document_of,
    find_field,
    has_field,
)
from pipeline.sources.rows import RowError

NAMES = FieldNames()
names = st.sampled_from(["a", "b", "a.b", "c"])
values = st.recursive(
    st.none() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.dictionaries(names, inner, max_size=3),
)
rows = st.dictionaries(names, values, max_size=4)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "missing-text"),
        ({"text": None}, "missing-text"),
        ({"text": 3}, "missing-text"),
        ({"text": ["a"]}, "missing-text"),
        ({"text": "a", "id": 1.5}, "bad-id"),
        ({"text": "a", "id": True}, "bad-id"),
        ({"text": "a", "id": ["x"]}, "bad-id"),
        ({"text": "a", "n": math.nan}, "non-finite-number"),
        ({"text": "a", "n": [{"m": -math.inf}]}, "non-finite-number"),
    ],
)
def test_rows_that_are_no_document(row: dict[str, Any], code: str) -> None:
    with pytest.raises(RowError) as caught:
        document_of(row, NAMES)
    assert caught.value.code == code


def test_fields_go_where_they_are_mapped_and_the_rest_to_metadata() -> None:
    row = {"body": "a", "key": -3, "url": "u", "language": ["en"], "z": 1, "metadata": {"b": None}}
    document = document_of(row, FieldNames(text="body", id="key"))
    assert (document.text, document.id, document.url, document.language) == ("a", "-3", "u", None)
    assert document.metadata == '{"language":["en"],"metadata":{"b":null},"z":1}'
    assert document_of({"text": "", "id": None, "url": None}, NAMES) == Document("")


def test_dots_lead_into_objects_and_take_only_what_is_mapped() -> None:
    row = {
        "doc": {"text": "a", "id": 7},
        "meta": {"url": "u", "lang": ["en"], "n": 1},
        "meta.url": "of that very name",
    }
    paths = FieldNames(text="doc.text", id="doc.id", url="meta.url", language="meta.lang")
    document = document_of(row, paths)
    assert (document.text, document.id, document.url, document.language) == (
        "a", "7", "of that very name", None,
    )  # fmt: skip
    assert document.metadata == '{"meta":{"lang":["en"],"n":1,"url":"u"}}'
    assert row["doc"] == {"text": "a", "id": 7}, "the row itself is as it was"
    assert document_of({"doc": {"text": "b"}, "meta": 3}, paths) == Document(
        "b", metadata='{"meta":3}'
    )


@given(rows, st.sampled_from("abc"), names)
def test_a_field_is_found_if_and_only_if_it_is_there(
    row: dict[str, Any], first: str, second: str
) -> None:
    path = f"{first}.{second}"
    if path in row:
        assert has_field(row, path)
        assert find_field(row, path) == row[path]
    elif not has_field(row, path):
        assert find_field(row, path) is None
    assert has_field({first: {second: row}}, path)


@given(st.dictionaries(st.text(), st.none() | st.integers(-5, 5) | st.text()))
def test_metadata_is_the_same_for_equal_rows(rest: dict[str, Any]) -> None:
    rest = {name: value for name, value in rest.items() if name not in ("id", "url", "language")}
    one = document_of({**rest, "text": "a"}, NAMES).metadata
    turned = dict(reversed(list(rest.items())))
    assert document_of({"text": "a", **turned}, NAMES).metadata == one
    rest.pop("text", None)
    assert (json.loads(one) if one else {}) == rest


def test_what_is_missing_is_said_with_what_there_is() -> None:
    seen = FieldsSeen()
    seen.add({"content": "a long text", "meta": {"url": "u", "lang": "en"}, "tags": {}, "n": 1})
    seen.add({"content": "another"})
    text = seen.missing("text", "text")
    assert (text.path, text.code, text.hint) == (
        ("text",), "no-such-field", "write text: content",
    )  # fmt: skip
    assert text.message == (
        "none of the first 2 rows has the field 'text'; there are content, meta.lang, meta.url, "
        "n, tags"
    )
    assert seen.missing("url", "meta.ulr").hint == "write url: meta.url"
    assert "leave it out" in seen.missing("url", "permalink").hint


def test_a_list_of_very_many_fields_is_cut() -> None:
    seen = FieldsSeen()
    seen.add({f"f{n:03}": n for n in range(1_000)})
    assert "f019 and 980 more" in seen.missing("text", "text").message
