"""Files beside the corpus are read as sources are: any packing, Parquet, bad rows by place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import json_lines, packed

from winnow import ShardError, read_rows

rows = st.fixed_dictionaries(
    {
        "question": st.text(),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "choices": st.lists(st.text(max_size=5), max_size=3),
        "meta": st.fixed_dictionaries({"n": st.integers(-(2**40), 2**40)}),
    }
)
KINDS = pa.schema(
    [
        ("question", pa.string()),
        ("score", pa.float64()),
        ("choices", pa.list_(pa.string())),
        ("meta", pa.struct([("n", pa.int64())])),
    ]
)


@given(
    rows=st.lists(rows, min_size=1, max_size=4),
    suffix=st.sampled_from(["", ".gz", ".zst", ".zstd", ".bz2", ".xz"]),
    mark=st.booleans(),
)
def test_every_packing_and_parquet_give_equal_rows(
    rows: list[dict[str, Any]], suffix: str, mark: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        lines, table = Path(name, "items.jsonl" + suffix), Path(name, "items.parquet")
        data = (b"\xef\xbb\xbf" if mark else b"") + json_lines(rows)
        lines.write_bytes(packed(data, suffix.replace("zstd", "zst")))
        pq.write_table(pa.Table.from_pylist(rows, KINDS), table)
        wanted = list(enumerate(rows, 1))
        assert list(read_rows(lines)) == wanted
        assert list(read_rows(table)) == wanted


def test_numbers_are_numbers_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1e3, "b": [0.10, 123456789012345678901], "c": 7}\n')
    assert list(read_rows(path)) == [
        (1, {"a": 1000.0, "b": [0.1, 123456789012345678901.0], "c": 7})
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"no json", "malformed-json"),
        (b"[1]", "not-an-object"),
        (b'{"a": NaN}', "non-finite-number"),
        (b'{"a": 1, "a": 2}', "duplicate-keys"),
        (b'{"a": "\xff"}', "invalid-utf8"),
        (b'{"a": "' + b"x" * 17 * 2**20 + b'"}', "row-too-long"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, line: bytes, code: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line)
    with pytest.raises(ShardError, match=rf"items:3: {code}: ") as caught:
        list(read_rows(path, "items"))
    assert caught.value.code == "bad-row"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.jsonl.zst", packed(b'{"a": 1}\n', ".zst")[:-3], "corrupt-compression"),
        ("a.jsonl", packed(b'{"a": 1}\n', ".gz"), "wrong-format"),
        ("a.arrow", b"ARROW1\0\0", "wrong-format"),
        ("a.parquet", b"PAR1", "corrupt-parquet"),
        ("gone.jsonl", None, "unreadable"),
    ],
)
def test_files_fail_as_those_of_sources_do(
    tmp_path: Path, name: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ShardError, match=name) as caught:
        list(read_rows(tmp_path / name))
    assert caught.value.code == code
