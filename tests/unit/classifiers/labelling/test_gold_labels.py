"""Gold sets: read whatever fields are called, and the line of what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import io
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from classifiers.judges.rubric import Attribute
from classifiers.labelling.gold_labels import read_gold
from classifiers.labelling.label_config import GoldSpec
from pipeline.errors import ShardError

SCALE = Attribute(question="?", scale={"0": "no", "1": "a little", "2": "yes"})
CHOICES = Attribute(question="?", choices={"law": "courts", "fun": "jokes"})
ROWS: list[dict[str, Any]] = [
    {"text": "eins", "label": 2, "source": "a", "language": "de"},
    {"text": "two", "label": 0.5, "source": "b"},
    {"text": "", "label": -3},
]


def write(path: Path, *lines: Any) -> None:
    content = b"\n".join(x if isinstance(x, bytes) else orjson.dumps(x) for x in lines)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}
    path.write_bytes(pack.get(path.suffix, bytes)(content))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_columns_are_read_from_any_compression(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"g.jsonl{suffix}", *ROWS)
    gold = read_gold(GoldSpec(path=f"g.jsonl{suffix}"), tmp_path, SCALE)
    assert gold.texts == ["eins", "two", ""]
    assert gold.labels.tolist() == [2.0, 0.5, -3.0]
    assert gold.labels.dtype == np.float64
    assert gold.sources.tolist() == ["a", "b", None]
    assert gold.languages.tolist() == ["de", None, None]


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    rows = [{"body": "x", "grade": "fun", "where": 7}, {"body": "y", "grade": "law"}]
    write(tmp_path / "g", *rows)
    spec = GoldSpec(path="g", text="body", label="grade", source="where")
    gold = read_gold(spec, tmp_path, CHOICES)
    assert (gold.texts, gold.labels.tolist()) == (["x", "y"], ["fun", "law"])
    assert gold.sources.tolist() == ["7", None], "as text, which sorts"


def test_blank_lines_and_windows_line_ends_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "g").write_bytes(
        BOM_UTF8 + b'\r\n{"text": "x", "label": 1}\r\n\n{"text": "y", "label": 2}'
    )
    assert read_gold(GoldSpec(path="g"), tmp_path, SCALE).labels.tolist() == [1.0, 2.0]


def test_line_separators_within_a_text_end_no_line(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three\x0bfour"
    write(tmp_path / "g", {"text": text, "label": 1})
    assert read_gold(GoldSpec(path="g"), tmp_path, SCALE).texts == [text]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"label": 1}', "no text in the field 'text'; the fields are 'label'"),
        (b"{}", "no text in the field 'text'; the row has no field"),
        (b'{"text": 3, "label": 1}', "no text in the field 'text'"),
        (b'{"text": "x"}', "no label in the field 'label'"),
        (b'{"text": "x", "label": null}', "no label in the field 'label'"),
        (b'{"text": "x", "label": true}', "is not a number"),
        (b'{"text": "x", "label": "2"}', "is not a number"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    write(tmp_path / "g.jsonl", ROWS[0], b"", line)
    with pytest.raises(ShardError, match=said) as caught:
        read_gold(GoldSpec(path="g.jsonl"), tmp_path, SCALE)
    assert caught.value.message.startswith("g.jsonl:3:1 ")
    assert (caught.value.code, "checks.gold" in caught.value.hint) == ("bad-gold", True)


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff", b'{"text": "x", "label": NaN}'])
def test_a_line_that_is_no_json_object_is_named_by_the_reader_of_sources(
    tmp_path: Path, line: bytes
) -> None:
    write(tmp_path / "g.jsonl", ROWS[0], b"", line)
    with pytest.raises(ShardError, match=r"g\.jsonl:3") as caught:
        read_gold(GoldSpec(path="g.jsonl"), tmp_path, SCALE)
    assert (caught.value.code, bool(caught.value.hint)) == ("bad-row", True)


def test_a_gold_set_may_be_parquet(tmp_path: Path) -> None:
    table = pa.table({"text": ["x", "y"], "label": [1, 2], "source": ["a", None]})
    pq.write_table(table, tmp_path / "g.parquet")
    gold = read_gold(GoldSpec(path="g.parquet"), tmp_path, SCALE)
    assert (gold.texts, gold.labels.tolist()) == (["x", "y"], [1.0, 2.0])
    assert gold.sources.tolist() == ["a", None]


def test_a_category_must_be_one_of_the_attribute(tmp_path: Path) -> None:
    write(tmp_path / "g", {"text": "x", "label": "fun"}, {"text": "x", "label": "fnu"})
    with pytest.raises(ShardError, match="g:2:1 'fnu' is none of"):
        read_gold(GoldSpec(path="g"), tmp_path, CHOICES)
    write(tmp_path / "g", {"text": "x", "label": ["fun"]})
    with pytest.raises(ShardError, match="is none of"):
        read_gold(GoldSpec(path="g"), tmp_path, CHOICES)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g").write_bytes(content)
    with pytest.raises(ShardError, match="the file is empty"):
        read_gold(GoldSpec(path="g"), tmp_path, SCALE)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_broken_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"g{suffix}"
    write(path, *ROWS * 50)
    cut = path.read_bytes()[:-20]
    for content, code in ((cut, "corrupt-compression"), (b"plain", "wrong-format")):
        path.write_bytes(content)
        with pytest.raises(ShardError) as caught:
            read_gold(GoldSpec(path=path.name), tmp_path, SCALE)
        assert caught.value.code == code
        assert path.name in caught.value.message


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    """It was there when the manifest was checked."""
    for name in ("gone", "gone.zst"):
        with pytest.raises(ShardError, match=f"unreadable {name}: No such file"):
            read_gold(GoldSpec(path=name), tmp_path, SCALE)


def test_people_s_labels_of_real_documents(shared_data: Path) -> None:
    path = shared_data / "truth" / "web-quality-human.jsonl.zst"
    gold = read_gold(GoldSpec(path=str(path)), Path("/elsewhere"), SCALE)
    raw = io.TextIOWrapper(zstandard.open(path, "rb"))
    assert len(gold.texts) == len(gold.labels) == sum(1 for line in raw if line.strip())
    assert set(gold.labels.tolist()) <= {0.0, 1.0}
