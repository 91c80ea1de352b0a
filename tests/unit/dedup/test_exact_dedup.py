from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.exact_dedup import ExactDedup

# Few texts, so that most lists repeat some; bytes that text files really contain.
TEXTS = st.sampled_from(["", " ", "a", "A", "a\n", "é", "e\u0301", "\0", "水" * 40, "x" * 33])
SHARDS = st.lists(st.lists(TEXTS, max_size=6), max_size=5)

STEP = ExactDedup()


def numbered(shards: list[list[str]]) -> list[list[tuple[str, str]]]:
    return [
        [(f"{shard}/{row}", text) for row, text in enumerate(texts)]
        for shard, texts in enumerate(shards)
    ]


def test_the_first_occurrence_stays_and_the_others_name_it(run_step: Any) -> None:
    ran = run_step(STEP, numbered([["one", "two", "one"], ["three", "two"], ["one"]]))
    assert ran.kept == ["0/0", "0/1", "1/0"]
    assert ran.dropped == {
        "0/2": {"reason": "exact_duplicate", "duplicate_of": "0/0"},
        "1/1": {"reason": "exact_duplicate", "duplicate_of": "0/1"},
        "2/0": {"reason": "exact_duplicate", "duplicate_of": "0/0"},
    }
    assert ran.metrics == {"documents": 6, "dropped": 3, "largest_cluster": 3}


@given(SHARDS, st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_what_stays_is_the_first_of_each_text(
    run_step: Any, shards: list[list[str]], batch: int
) -> None:
    documents = [document for shard in numbered(shards) for document in shard]
    firsts: dict[str, str] = {}
    for key, text in documents:
        firsts.setdefault(text, key)
    ran = run_step(STEP, numbered(shards), batch)
    assert ran.kept == list(firsts.values())
    survivors = {key: said["duplicate_of"] for key, said in ran.dropped.items()}
    assert survivors == {key: firsts[text] for key, text in documents if firsts[text] != key}


@given(SHARDS)
@settings(max_examples=25, deadline=None)
def test_a_second_pass_drops_nothing(run_step: Any, shards: list[list[str]]) -> None:
    kept = set(run_step(STEP, numbered(shards)).kept)
    again = [[row for row in shard if row[0] in kept] for shard in numbered(shards)]
    assert run_step(STEP, again).dropped == {}


@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(1, 11))
@settings(max_examples=25, deadline=None)
def test_where_shards_are_cut_does_not_matter(run_step: Any, texts: list[str], cut: int) -> None:
    rows = numbered([texts])[0]
    whole, parts = run_step(STEP, [rows]), run_step(STEP, [rows[:cut], rows[cut:]])
    assert (whole.kept, whole.dropped, whole.metrics) == (parts.kept, parts.dropped, parts.metrics)


def test_equal_evidence_gives_equal_bytes(run_step: Any) -> None:
    shards = numbered([["a", "b", "a"], [], ["b"]])
    one, other = run_step(STEP, shards), run_step(STEP, shards, batch=1)
    assert one.files == other.files
    assert sorted(one.files) == ["000000.parquet", "000001.parquet", "000002.parquet"]


def test_ids_that_repeat_do_not_confuse_it(run_step: Any) -> None:
    ran = run_step(STEP, [[("same", "a"), ("same", "b")], [("same", "b")]])
    assert ran.kept == ["same", "same"]
    assert ran.metrics["dropped"] == 1


def test_no_documents_at_all(run_step: Any) -> None:
    nothing = {"documents": 0, "dropped": 0, "largest_cluster": 0}
    assert run_step(STEP, []).metrics == nothing
    assert run_step(STEP, [[], []]).metrics == nothing


@pytest.mark.parametrize("domain", ["code_python", "dialog"])
def test_real_text_agrees_with_a_dictionary(run_step: Any, shared_data: Any, domain: str) -> None:
    path = shared_data / "domains" / f"{domain}.jsonl.zst"
    lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
    rows = [(record["id"], record["text"]) for record in map(orjson.loads, lines)]
    firsts: dict[str, str] = {}
    for key, text in rows:
        firsts.setdefault(text, key)
    ran = run_step(STEP, [rows[:300], rows[300:]], batch=128)
    assert ran.kept == list(firsts.values())
    assert len(ran.dropped) == len(rows) - len(firsts) > 0
