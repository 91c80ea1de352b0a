"""JSON lines: what goes in comes out, in any packing, and odd lines do not disturb others."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from reading import codes, freeze, json_lines, packed, read_all, texts

from pipeline.sources.jsonl import JsonLines, split_lines
from pipeline.sources.rows import MAX_ROW_BYTES

rows = st.fixed_dictionaries(
    {"text": st.text()},
    optional={
        "id": st.text(min_size=1) | st.integers(-(2**63), 2**64 - 1),
        "url": st.text(),
        "language": st.sampled_from(["en", "de"]),
        "extra": st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.floats(-1, 1)),
    },
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@given(rows=st.lists(rows, max_size=8), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_documents_survive_any_packing(suffix: str, rows: list[dict[str, Any]], end: str) -> None:
    data = b"".join(orjson.dumps(row) + end.encode() for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.jsonl" + suffix).write_bytes(packed(data, suffix))
        fmt = JsonLines(paths="*.jsonl*", allow_empty=True)
        documents, quarantined = read_all(fmt, Path(folder))
    assert quarantined == []
    step = 2 if end == "\n\n" else 1
    assert [row["_offset"] for row in documents] == [n * step for n in range(len(rows))]
    for row, document in zip(rows, documents, strict=True):
        assert document["text"] == row["text"]
        assert document["url"] == row.get("url")
        assert document["language"] == row.get("language")
        derived = f"web/a.jsonl{suffix}#{document['_offset']}"
        assert document["id"] == str(row.get("id", derived))
        extra = orjson.loads(document["metadata"])["extra"] if "extra" in row else None
        assert extra == row.get("extra")
        assert (document["source"], document["_source"]) == ("web", f"a.jsonl{suffix}")


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    size=st.integers(1, 7),
)
def test_lines_do_not_depend_on_where_chunks_end(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    wanted = [(line, len(line)) for line in data.split(b"\n")]
    if wanted[-1] == (b"", 0):
        wanted.pop()
    assert list(split_lines(chunks, cap=100)) == wanted


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines([{"content": "x", "text": "y", "key": 5}]))
    [document], _ = read_all(JsonLines(paths="a.jsonl", text="content", id="key"), tmp_path)
    assert (document["text"], document["id"]) == ("x", "5")
    assert document["metadata"] == '{"text":"y"}'


def test_two_columns_may_not_come_from_one_field() -> None:
    with pytest.raises(ValidationError, match="four fields"):
        JsonLines(paths="a", text="id")
    with pytest.raises(ValidationError, match="max_row_bytes"):
        JsonLines(paths="a", max_row_bytes=MAX_ROW_BYTES + 1)


def test_only_the_row_over_the_cap_is_quarantined(tmp_path: Path) -> None:
    lines = json_lines([{"text": "a"}, {"text": "b" * 200}, {"text": "c"}])
    (tmp_path / "a.jsonl").write_bytes(lines)
    documents, quarantined = read_all(JsonLines(paths="a.jsonl", max_row_bytes=100), tmp_path)
    assert texts(documents) == ["a", "c"]
    assert codes(quarantined) == [(1, "row-too-long")]
    assert quarantined[0]["raw_bytes"] == 211


def test_reading_twice_gives_the_same_batches(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines({"text": "x" * n} for n in range(5_000)))
    fmt = JsonLines(paths="*.jsonl")
    [shard] = freeze(fmt, tmp_path)
    first, second = list(fmt.read(shard)), list(fmt.read(shard))
    assert len(first) == 2
    assert all(a.documents.equals(b.documents) for a, b in zip(first, second, strict=True))


def test_real_corpora_are_read_whole(shared_data: Path) -> None:
    fmt = JsonLines(paths="wiki.jsonl.zst")
    documents, quarantined = read_all(fmt, shared_data / "domains")
    assert (len(documents), len(quarantined)) == (4_049, 0)
    assert all(len(text) >= 500 for text in texts(documents))
