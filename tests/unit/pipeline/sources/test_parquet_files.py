"""Parquet: the same documents and the same codes as from JSON lines."""

from __future__ import annotations

import datetime
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import codes, freeze, json_lines, packed, problems, read_all, string_table, texts

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles

rows = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(),
        "id": st.none() | st.text(),
        "url": st.none() | st.text(),
        "n": st.integers(-(2**40), 2**40),
    }
)
SCHEMA = pa.schema(
    [("text", pa.string()), ("id", pa.string()), ("url", pa.large_string()), ("n", pa.int64())]
)


@given(
    rows=st.lists(rows, min_size=1, max_size=8), dictionary=st.booleans(), group=st.integers(1, 9)
)
def test_documents_are_those_of_equal_json_lines(
    rows: list[dict[str, Any]], dictionary: bool, group: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = pa.Table.from_pylist(rows, SCHEMA)
        pq.write_table(table, folder / "a", use_dictionary=dictionary, row_group_size=group)
        parquet = read_all(ParquetFiles(paths="a"), folder)
        (folder / "a").write_bytes(json_lines(rows))
        jsonl = read_all(JsonLines(paths="a"), folder)
    assert parquet[0] == jsonl[0]
    assert codes(parquet[1]) == codes(jsonl[1])
    assert len(parquet[0]) + len(parquet[1]) == len(rows)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_string_type_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    values = ["a", "", "é", "a"]
    table = pa.table({"text": pa.array(values, pa.string()).cast(kind), "id": [4, 3, 2, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    documents, quarantined = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert (texts(documents), quarantined) == (values, [])
    assert [row["id"] for row in documents] == ["4", "3", "2", "1"]
    assert [row["_offset"] for row in documents] == [0, 1, 2, 3]


def test_other_columns_go_to_metadata_as_json(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "text": ["x"],
            "score": [0.25],
            "when": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
            "price": [Decimal("12345678901234567890.10")],
            "raw": [b"\xff\x00"],
            "nested": [{"tags": ["a", None], "day": datetime.date(2024, 2, 29)}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    [document], _ = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert '"price":12345678901234567890.10,' in document["metadata"]
    assert orjson.loads(document["metadata"]) == {
        "score": 0.25,
        "when": "2024-02-29 12:00:00.000005",
        "price": 12345678901234567890.1,
        "raw": "/wA=",
        "nested": {"tags": ["a", None], "day": "2024-02-29"},
    }


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_binary_that_is_utf8_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array([b"a", b"\xff", "é".encode(), None], kind)
    pq.write_table(pa.table({"text": values, "url": values}), tmp_path / "a.parquet")
    fmt = ParquetFiles(paths="a.parquet")
    assert not problems(fmt, tmp_path)
    documents, quarantined = read_all(fmt, tmp_path)
    assert [(row["text"], row["url"]) for row in documents] == [("a", "a"), ("é", "é")]
    assert codes(quarantined) == [(1, "invalid-utf8"), (3, "missing-text")]


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": v}])
def test_numbers_that_json_has_not_cost_their_row_in_every_format(
    tmp_path: Path, bad: str, wrap: Any
) -> None:
    table = pa.table({"text": ["a", "b"], "n": [wrap(float(bad)), wrap(0.5)]})
    pq.write_table(table, tmp_path / "a.parquet")
    literal = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[bad]
    (tmp_path / "a.jsonl").write_text(
        f'{{"text": "a", "n": [{literal}]}}\n{{"text": "b", "n": [0.5]}}\n'
    )
    for fmt in (ParquetFiles(paths="a.parquet"), JsonLines(paths="a.jsonl")):
        documents, quarantined = read_all(fmt, tmp_path)
        assert texts(documents) == ["b"]
        assert codes(quarantined) == [(0, "non-finite-number")]


FAR = 2**62  # microseconds from 1970 on: the year 148,108


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (FAR, pa.timestamp("us")),
        ([FAR], pa.list_(pa.timestamp("us"))),
        ({"a": FAR}, pa.struct([("a", pa.timestamp("us"))])),
        ([{"a": 2**31 - 1}], pa.list_(pa.struct([("a", pa.date32())]))),
    ],
)
def test_times_that_python_cannot_hold_are_kept_as_arrow_writes_them(
    tmp_path: Path, value: Any, kind: pa.DataType
) -> None:
    column = pa.array([value], _as_integers(kind)).view(kind)
    pq.write_table(pa.table({"text": ["a"], "when": column}), tmp_path / "a.parquet")
    [document], quarantined = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert not quarantined
    assert "out of range" in document["metadata"]


def _as_integers(kind: pa.DataType) -> pa.DataType:
    """``kind`` with the numbers that its times are stored as."""
    if pa.types.is_list(kind):
        return pa.list_(_as_integers(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(inner.name, _as_integers(inner.type)) for inner in kind])
    return pa.int32() if pa.types.is_date32(kind) else pa.int64()


def test_a_duration_that_python_cannot_hold_costs_its_row(tmp_path: Path) -> None:
    column = pa.array([2**60, 1], pa.duration("s"))
    pq.write_table(pa.table({"text": ["a", "b"], "took": column}), tmp_path / "a.parquet")
    documents, quarantined = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert (texts(documents), codes(quarantined)) == (["b"], [(0, "bad-value")])


def test_bad_utf8_in_any_column_costs_its_row_only(tmp_path: Path) -> None:
    nested = pa.ListArray.from_arrays(
        [0, 1, 2, 3, 4], pa.array([b"a", b"b", b"c", b"\xff"], pa.binary()).view(pa.string())
    )
    table = string_table([b"one", b"\xc3", b"\xed\xa0\x80", b"four"], tags=nested)
    pq.write_table(table, tmp_path / "a.parquet")
    documents, quarantined = read_all(ParquetFiles(paths="a.parquet"), tmp_path)
    assert texts(documents) == ["one"]
    wanted = [(1, "invalid-utf8"), (2, "lone-surrogate"), (3, "invalid-utf8")]
    assert codes(quarantined) == wanted
    assert quarantined[0]["raw"] == b"\xc3"


def test_rows_over_the_cap_are_quarantined(tmp_path: Path) -> None:
    pq.write_table(string_table([b"a", b"b" * 200, b"c"]), tmp_path / "a.parquet")
    fmt = ParquetFiles(paths="a.parquet", max_row_bytes=100)
    documents, quarantined = read_all(fmt, tmp_path)
    assert texts(documents) == ["a", "c"]
    assert codes(quarantined) == [(1, "row-too-long")]


@pytest.mark.parametrize("content", [packed(b"x", ".gz"), b'{"text": "a"}\n', b"PAR1"])
def test_what_is_not_parquet_fails_when_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    fmt = ParquetFiles(paths="a.parquet")
    [shard] = freeze(fmt, tmp_path)
    with pytest.raises(ShardError, match=r"a\.parquet") as caught:
        list(fmt.read(shard))
    assert caught.value.code == ("corrupt-parquet" if content == b"PAR1" else "wrong-format")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"]], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    [found] = problems(ParquetFiles(paths="a.parquet"), tmp_path)
    assert "two columns of one name in a.parquet" in found.message


def test_an_empty_file_is_accepted_when_the_manifest_says_so(tmp_path: Path) -> None:
    pq.write_table(string_table([]), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"")
    assert read_all(ParquetFiles(paths="*.parquet", allow_empty=True), tmp_path) == ([], [])
    for shard in freeze(fmt := ParquetFiles(paths="*.parquet"), tmp_path):
        with pytest.raises(ShardError) as caught:
            list(fmt.read(shard))
        assert caught.value.code == "empty-file"


@given(
    group=st.integers(1, 40),
    shard_bytes=st.integers(1, 3_000),
    codec=st.sampled_from(["none", "zstd"]),
)
def test_row_groups_read_in_parts_are_the_whole_file(
    group: int, shard_bytes: int, codec: str
) -> None:
    values = [b"row %d \xff" % n if n % 9 == 0 else b"row %d" % n for n in range(100)]
    with tempfile.TemporaryDirectory() as name:
        pq.write_table(
            string_table(values), Path(name, "a"), row_group_size=group, compression=codec
        )
        whole = read_all(ParquetFiles(paths="a", max_bad=1), Path(name))
        parts = read_all(ParquetFiles(paths="a", max_bad=1, shard_bytes=shard_bytes), Path(name))
    assert parts == whole
    assert len(whole[0]) + len(whole[1]) == 100
