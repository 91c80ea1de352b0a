"""A format only yields rows; listing, checking, batching and quarantine are done for it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import codes, freeze, json_lines, problems, read_all, rows_of, texts

from pipeline.errors import ManifestError, ShardError
from pipeline.manifest import load_manifest
from pipeline.sources.bad_rows import ShardRows
from pipeline.sources.file_format import LOOKED_AT_IN_FILE, FileFormat
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.rows import MAX_ROW_BYTES, Row, RowError
from pipeline.sources.source import SourceFormat


class Csv(FileFormat):
    """Rows of CSV files with a header."""

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        with path.open(newline="", encoding="utf-8") as file:
            for number, fields in enumerate(csv.DictReader(file)):
                bad = None in fields or None in fields.values()
                yield Row(number, RowError("ragged", "of another length") if bad else fields)


def test_a_format_that_yields_rows_is_a_whole_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,url,n\none,u,1\ntwo\n,v,3\n")
    fmt = Csv(paths="*.csv")
    assert not problems(fmt, tmp_path)
    documents, quarantined = read_all(fmt, tmp_path)
    assert [(row["text"], row["url"], row["metadata"]) for row in documents] == [
        ("one", "u", '{"n":"1"}'), ("", "v", '{"n":"3"}'),
    ]  # fmt: skip
    assert codes(quarantined) == [(1, "ragged")]
    [missing] = problems(Csv(paths="*.csv", text="txt"), tmp_path)
    assert (missing.path, missing.code) == (("text",), "no-such-field")


def test_a_file_that_changes_fails_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\none\n")
    fmt = Csv(paths="*.csv")
    [shard] = freeze(fmt, tmp_path)
    (tmp_path / "a.csv").write_text("text\ntwo\n")
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "input-changed"


def test_what_a_format_raises_is_said_with_its_class_and_the_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\none\n\xff\n")
    fmt = Csv(paths="*.csv")
    [shard] = freeze(fmt, tmp_path)
    with pytest.raises(
        ShardError, match=r"a\.csv: Csv\.rows failed after 0 rows: Unicode"
    ) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "format-failed"
    assert __name__ in caught.value.hint
    assert not problems(fmt, tmp_path), "the file fails when it is read"


@pytest.mark.parametrize("kind", [JsonLines, ParquetFiles])
def test_dots_lead_into_nested_fields(tmp_path: Path, kind: type[FileFormat]) -> None:
    rows = [
        {"meta": {"url": "u", "n": 1, "body": "a"}},
        {"meta": {"url": None, "n": 2, "body": "b"}},
    ]
    (tmp_path / "a").write_bytes(json_lines(rows))
    if kind is ParquetFiles:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a")
    fmt = kind(paths="a", text="meta.body", url="meta.url")
    assert not problems(fmt, tmp_path)
    documents, quarantined = read_all(fmt, tmp_path)
    assert [(row["text"], row["url"], row["metadata"]) for row in documents] == [
        ("a", "u", '{"meta":{"n":1}}'), ("b", None, '{"meta":{"n":2}}'),
    ]  # fmt: skip
    assert not quarantined


@pytest.mark.parametrize("kind", [JsonLines, ParquetFiles])
@pytest.mark.parametrize(
    ("fields", "place", "hint"),
    [
        ({}, "text", "write text: content"),
        ({"text": "content", "url": "meta.ulr"}, "url", "write url: meta.url"),
        ({"text": "content", "url": "meta.url", "language": "lang"}, "language", "leave it out"),
    ],
)
def test_a_field_that_is_named_and_not_there_is_a_problem(
    tmp_path: Path, kind: type[FileFormat], fields: dict[str, str], place: str, hint: str
) -> None:
    rows = [{"content": "a text", "meta": {"url": "u"}, "nr": 1}]
    (tmp_path / "a").write_bytes(json_lines(rows))
    if kind is ParquetFiles:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a")
    [found] = problems(kind.model_validate({"paths": "a", **fields}), tmp_path)
    assert (found.path, found.code) == ((place,), "no-such-field")
    assert "there are content, meta.url, nr" in found.message
    assert hint in found.hint


def test_a_field_of_any_row_is_enough(tmp_path: Path) -> None:
    rows = [{"text": "a"}] * (LOOKED_AT_IN_FILE + 5)
    (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
    (tmp_path / "b.jsonl").write_bytes(json_lines([{"text": "b"}, {"text": "c", "lang": None}]))
    assert not problems(JsonLines(paths="*.jsonl", language="lang"), tmp_path)
    assert problems(JsonLines(paths="a.jsonl", language="lang"), tmp_path)
    assert not problems(JsonLines(paths="a.jsonl"), tmp_path), "defaults may be missing"


def test_files_without_a_row_to_look_at_are_left_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"no json\n")
    (tmp_path / "b.jsonl").write_bytes(b"")
    (tmp_path / "c.jsonl.gz").write_bytes(b"{}")
    assert not problems(JsonLines(paths="*.jsonl*"), tmp_path)


def place_of(error: ManifestError) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.code) for problem in error.problems]


def test_problems_have_a_line_and_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines([{"text": "a", "url": "u"}]))
    (tmp_path / "m.yaml").write_text(
        "sources:\n"
        "  gone: {format: jsonl, paths: gone.jsonl}\n"
        "  web: {format: jsonl, paths: [a.jsonl, b*.jsonl]}\n"
        "  odd: {format: jsonl, paths: a.jsonl, url: urll}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    assert place_of(caught.value) == [
        (2, 32, "no-files"), (3, 41, "no-files"), (4, 45, "no-such-field"),
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "place"), [(JsonLines, "a:2"), (ParquetFiles, "a, row 1 from 0")])
def test_too_many_bad_rows_are_named_by_code_and_place(
    tmp_path: Path, kind: type[FileFormat], place: str
) -> None:
    rows = [{"text": "a"}, {"text": None}, {"text": None}]
    (tmp_path / "a").write_bytes(json_lines(rows))
    if kind is ParquetFiles:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a")
    fmt: SourceFormat = kind(paths="a", max_bad=0.5)
    [shard] = freeze(fmt, tmp_path)
    with pytest.raises(ShardError) as caught:
        rows_of(ShardRows(fmt, shard))
    assert caught.value.code == "too-many-bad-rows"
    assert caught.value.message == (
        f"2 of 3 rows of a are bad, more than max_bad: 0.5: 2 missing-text (first at {place}: "
        "field 'text' is missing or null)"
    )
    assert len(rows_of(ShardRows(kind(paths="a", max_bad=0.7), shard))[0]) == 1


@pytest.mark.parametrize("kind", [JsonLines, ParquetFiles])
def test_rows_of_the_largest_size_that_is_allowed_are_read(
    tmp_path: Path, kind: type[FileFormat]
) -> None:
    rows = [{"text": letter * (MAX_ROW_BYTES - 20)} for letter in "ab"]
    rows.append({"text": "c" * (MAX_ROW_BYTES + 1)})
    (tmp_path / "a").write_bytes(json_lines(rows))
    if kind is ParquetFiles:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a", use_dictionary=False)
    fmt = kind(paths="a", max_row_bytes=MAX_ROW_BYTES, max_ratio=1e9)
    documents, quarantined = read_all(fmt, tmp_path)
    assert texts(documents) == [row["text"] for row in rows[:2]]
    assert codes(quarantined) == [(2, "row-too-long")]
