from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError
from proxy.mixing.evaluation_files import EvaluationFile, scored_text
from proxy.mixing.targets import FileTarget

ROWS = [{"id": f"e{i}", "query": f"{i} + 1 =", "answer": str(i + 1)} for i in range(3)]
LINES = b"\n".join(map(orjson.dumps, ROWS)) + b"\n"


def planned(path: Path, **settings: Any) -> EvaluationFile:
    return EvaluationFile("evals", path, FileTarget(file=path.name, **settings), sha256_file(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.jsonl", LINES),
        ("e.jsonl", b"\xef\xbb\xbf" + LINES),
        ("e.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("e.jsonl.zst", zstandard.compress(LINES)),
        ("e.jsonl.zstd", zstandard.compress(LINES)),
    ],
)
def test_files_are_read_as_sources_are(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    documents = list(planned(tmp_path / name).documents())
    assert [(d.id, d.text[d.scored_from :]) for d in documents] == [
        ("e0", " 1"),
        ("e1", " 2"),
        ("e2", " 3"),
    ]


def test_parquet_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "e.parquet")
    assert len(list(planned(tmp_path / "e.parquet").documents())) == 3


@pytest.mark.parametrize(
    ("row", "settings", "scored"),
    [
        ({"text": "plain", "id": "1", "source": "wiki"}, {}, "plain"),
        ({"query": "2 + 2 =", "answer": "4"}, {}, " 4"),
        ({"query": "Answer: ", "continuation": "yes"}, {}, "yes"),
        ({"query": "q", "choices": ["a", "b"], "gold": 1}, {}, " b"),
        ({"text": "Add.", "code": "a + b"}, {"score": "code", "context": "text"}, " a + b"),
        ({"good": "It is.", "bad": "It are."}, {"score": "good"}, "It is."),
        (
            {"contexts": ["A as A", "A as B"], "continuation": "left", "gold": 1},
            {"score": "continuation", "context": "contexts"},
            " left",
        ),
        ({"options": ["x", "y"], "right": 0}, {"score": "options", "gold": "right"}, "x"),
        ({"text": "Write it.", "code": "def f(): 1"}, {}, None),
        ({"good": "It is.", "bad": "It are."}, {}, None),
        ({"query": "q", "choices": ["a"], "gold": 5}, {}, None),
        ({"query": "q"}, {}, None),
        ({"title": "no text"}, {}, None),
        ({"text": 3}, {}, None),
    ],
)
def test_what_a_row_says_is_scored(
    row: dict[str, Any], settings: dict[str, Any], scored: str | None
) -> None:
    found = scored_text(row, FileTarget(file="e", **settings))
    assert (None if found is None else found[0][found[1] :]) == scored


SETS = {
    "gsm8k": {},
    "lambada": {},
    "pubmedqa": {},
    "mmlu": {},
    "hellaswag": {},
    "mbpp": {"score": "code", "context": "text"},
    "blimp": {"score": "good"},
    "winogrande": {"score": "continuation", "context": "contexts"},
}


@pytest.mark.parametrize("name", SETS)
def test_answers_of_public_sets_are_scored_and_questions_are_not(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "evals" / f"{name}.jsonl.zst"
    for document in itertools.islice(planned(path, **SETS[name]).documents(), 20):
        assert not document.is_empty
        assert (document.scored_from > 0) == (name != "blimp")


@pytest.mark.parametrize("name", ["mbpp", "blimp", "winogrande"])
def test_a_set_that_does_not_say_what_is_scored_is_refused_with_its_fields(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "evals" / f"{name}.jsonl.zst"
    with pytest.raises(ShardError, match="does not say what is scored; its") as caught:
        next(planned(path).documents())
    assert caught.value.code == "evaluation-row"
    assert "its fields are task, " in caught.value.message
    assert "score: " in caught.value.hint


def test_a_named_field_that_is_not_there_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_bytes(LINES)
    with pytest.raises(ShardError, match=r"e\.jsonl:1 has no text in reply; .* id, query, answer"):
        list(planned(tmp_path / "e.jsonl", score="reply").documents())


def test_a_file_that_changed_after_the_plan_fails(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(LINES)
    file = planned(path)
    path.write_bytes(LINES * 2)
    with pytest.raises(ShardError, match="has changed") as caught:
        list(file.documents())
    assert caught.value.code == "input-changed"
