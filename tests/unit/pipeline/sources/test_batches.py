"""Rows become bounded batches, and bad rows get the codes that all readers share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import rows_of

from pipeline.documents import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from pipeline.sources.batches import Batches
from pipeline.sources.fields import Document
from pipeline.sources.rows import MAX_ROW_BYTES, QUARANTINE_RAW_BYTES, RowError, decode_utf8
from pipeline.sources.source import Read


def collect(items: list[Document | bytes], cap: int = MAX_ROW_BYTES) -> list[Read]:
    batches, reads = Batches("web", cap), []
    for offset, item in enumerate(items):
        if isinstance(item, bytes):
            batches.reject("a.jsonl", offset, RowError("malformed-json", "no"), item)
        else:
            batches.add("a.jsonl", offset, item)
        if batches.full:
            reads.append(batches.take())
    if batches.rows:
        reads.append(batches.take())
    return reads


@given(st.lists(st.text().map(Document) | st.binary(max_size=20), max_size=30))
def test_every_row_comes_out_once_and_in_order(items: list[Document | bytes]) -> None:
    documents, quarantined = rows_of(collect(items))
    out = {row["_offset"]: row["text"] for row in documents}
    out |= {row["_offset"]: row["raw"] for row in quarantined}
    assert len(documents) + len(quarantined) == len(items)
    wanted = [item.text if isinstance(item, Document) else item for item in items]
    assert [out[n] for n in range(len(items))] == wanted
    assert [row["_offset"] for row in documents] == sorted(row["_offset"] for row in documents)


def test_batches_stay_within_rows_and_bytes() -> None:
    short = collect([Document("é")] * (MAX_BATCH_ROWS + 1))
    assert [read.documents.num_rows for read in short] == [MAX_BATCH_ROWS, 1]
    long = collect([Document("é" * (MAX_ROW_BYTES // 2))] * 4)
    assert len(long) == 2
    assert all(read.documents.nbytes <= MAX_BATCH_BYTES for read in long)


def test_quarantined_rows_count_against_the_bytes_too() -> None:
    reads = collect([bytes(QUARANTINE_RAW_BYTES * 2)] * 1_000)
    documents, quarantined = rows_of(reads)
    assert not documents
    assert len(reads) > 1
    assert {(len(row["raw"]), row["raw_bytes"]) for row in quarantined} == {
        (QUARANTINE_RAW_BYTES, 2 * QUARANTINE_RAW_BYTES)
    }


def test_a_row_over_the_cap_is_refused_by_its_bytes_not_its_characters() -> None:
    batches = Batches("web", 10)
    assert batches.add("a", 0, Document("é" * 5)) == 10
    with pytest.raises(RowError) as caught:
        batches.add("a", 1, Document("é" * 5, metadata="{}"))
    assert caught.value.code == "row-too-long"
    assert batches.rows == 1


def test_ids_are_derived_where_they_are_missing() -> None:
    items: list[Document | bytes] = [Document("a"), Document("b", id="7"), Document("c", id="")]
    documents, _ = rows_of(collect(items))
    assert [row["id"] for row in documents] == ["web/a.jsonl#0", "7", "web/a.jsonl#2"]


@given(st.text(st.characters(codec=None, categories=["L", "Cs"])))
def test_surrogates_are_told_from_other_bad_bytes(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    if any("\ud800" <= c <= "\udfff" for c in text):
        with pytest.raises(RowError, match="surrogate") as caught:
            decode_utf8(raw)
        assert caught.value.code == "lone-surrogate"
        with pytest.raises(RowError) as caught:
            decode_utf8(raw + b"\xff")
        assert caught.value.code == "invalid-utf8"
    else:
        assert decode_utf8(raw) == text
