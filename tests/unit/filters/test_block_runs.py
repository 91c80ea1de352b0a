"""What a block gets of a document, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters.base import BaseFormatter
from datatrove.pipeline.readers import JsonlReader

from filters.block_runs import BlockRun, Outcome, signals_of
from pipeline.documents import Docs
from pipeline.errors import ShardError
from winnow.testing import documents


class Asked(BaseFilter):
    """Answers with what a function gives."""

    def __init__(self, answer: Any, batch_size: int = 1) -> None:
        super().__init__(batch_size=batch_size)
        self.answer = answer
        self.batches: list[int] = []

    def filter(self, doc: Document) -> Any:
        return self.answer(doc)

    def filter_batch(self, batch: list[Document]) -> Any:
        self.batches.append(len(batch))
        return super().filter_batch(batch)


class Formats(BaseFormatter):
    def format(self, text: str) -> Any:
        return None if text == "none" else text + "!"


def outcomes(block: Any, rows: Sequence[Any]) -> list[Outcome]:
    return BlockRun(block, None).outcomes(Docs(documents(rows)))


def decided(answer: Any) -> tuple[bool, str]:
    (found,) = outcomes(Asked(lambda doc: answer), ["a"])
    return not found.reason, found.reason


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (True, (True, "")),
        ((True, "fine"), (True, "")),
        (False, (False, "Asked")),
        (None, (False, "Asked")),
        ((False, "short"), (False, "short")),
        ((False, None), (False, "Asked")),
        ((False, ""), (False, "Asked")),
        ((False, 5), (False, "5")),
        (np.bool_(True), (True, "")),
    ],
)
def test_answers_mean_what_they_mean_in_datatrove(answer: Any, meaning: Any) -> None:
    assert decided(answer) == meaning


ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "x", "url": "https://example.org", "language": "en", "n": 5},
    {"id": "b", "text": "x", "metadata": {"deep": [1], "n": 1}, "n": 2},
    {"id": "c", "text": "x", "metadata": '{"packed": 1}'},
    {"id": "d", "text": "x", "metadata": "no JSON"},
    {"id": "e", "text": "x", "metadata": [1, 2]},
    {"id": "f", "text": "x", "url": 5, "file_path": "own"},
]


def test_metadata_are_those_that_datatroves_readers_give(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in ROWS))
    theirs = [doc.metadata for doc in JsonlReader(str(tmp_path), add_file_path=False).run()]
    for fields in theirs:
        fields.setdefault("file_path", "web.jsonl")
    seen: list[Any] = []

    def see(doc: Document) -> bool:
        seen.append(dict(doc.metadata))
        return True

    given = []
    for row in ROWS:
        own = [k for k in ("id", "text", "url", "language") if isinstance(row.get(k), str)]
        rest = {k: v for k, v in row.items() if k not in own}
        given.append({k: row[k] for k in own} | {"metadata": json.dumps(rest) if rest else None})
    found = outcomes(Asked(see), given)
    assert seen[: len(ROWS)] == theirs
    # Nothing was written, so everything is as it was.
    assert [o.metadata for o in found] == [row["metadata"] for row in given]
    assert [o.url for o in found] == [row.get("url") for row in given]


def test_what_is_written_into_metadata_is_kept_and_shown() -> None:
    def write(doc: Document) -> bool:
        doc.metadata["score"] = np.float32(0.5)
        doc.metadata["deep"]["b"] = 2
        doc.metadata["url"] = "https://example.com"
        del doc.metadata["old"]
        return True

    metadata = '{"deep": {"a": 1}, "old": 1, "same": 1}'
    (found,) = outcomes(Asked(write), [{"text": "a", "language": "en", "metadata": metadata}])
    assert found.metadata is not None
    assert json.loads(found.metadata) == {"deep": {"a": 1, "b": 2}, "same": 1, "score": 0.5}
    assert (found.url, found.language) == ("https://example.com", "en")
    assert set(found.written) == {"score", "deep", "url"}


def test_a_column_whose_field_is_taken_away_is_empty() -> None:
    def take(doc: Document) -> bool:
        return doc.metadata.pop("url") != ""

    (found,) = outcomes(Asked(take), [{"text": "a", "url": "https://example.org"}])
    assert (found.url, found.metadata) == (None, None)


def test_an_edit_of_a_dropped_document_is_none() -> None:
    def edit(doc: Document) -> bool:
        doc.text += "!"
        return doc.text.startswith("k")

    assert [o.text for o in outcomes(Asked(edit), ["keep", "drop"])] == ["keep!", "drop"]


def test_batches_have_the_size_that_the_block_asks_for() -> None:
    block = Asked(lambda doc: True, batch_size=3)
    outcomes(block, ["a"] * 10)
    assert block.batches[:4] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Asked(lambda doc: setattr(doc, "id", "other")), "replaced the id, or the text by none"),
        (Asked(lambda doc: setattr(doc, "text", None)), "replaced the id, or the text by none"),
        (Formats(), r"format\(\) of Formats gave NoneType, not a text"),
    ],
)
def test_answers_without_a_meaning_fail_the_shard(block: Any, message: str) -> None:
    with pytest.raises(ShardError, match=message) as caught:
        outcomes(block, ["none"])
    assert caught.value.code == "block-result"


def test_an_import_that_fails_is_no_fault_of_the_document() -> None:
    def answer(doc: Document) -> bool:
        import no_such_module  # noqa: F401

        return True

    with pytest.raises(ImportError):
        BlockRun(Asked(answer), "drop").outcomes(Docs(documents(["a"])))


def test_a_batch_that_loses_a_document_fails_the_shard() -> None:
    class Loses(Asked):
        def filter_batch(self, batch: list[Document]) -> Any:
            return [True] * (len(batch) - 1)

    with pytest.raises(ShardError, match=r"filter_batch\(\) of Loses gave 1 results for 2"):
        outcomes(Loses(None, batch_size=2), ["a", "b"])


def test_signals_are_numbers_or_else_texts() -> None:
    made = signals_of(
        [
            Outcome("", written={"n": 1, "t": "x", "mixed": 1}),
            Outcome("", written={"n": True, "mixed": [2]}),
            Outcome("", written={"n": 0.5, "t": "y"}),
        ]
    )
    assert made["n"].tolist() == [1.0, 1.0, 0.5]
    assert made["t"].to_pylist() == ["x", None, "y"]
    assert made["mixed"].to_pylist() == ["1", "[2]", None]
