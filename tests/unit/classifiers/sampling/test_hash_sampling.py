"""Samples do not depend on shards, row groups and batches; rows come back in the order asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.sampling.hash_sampling import (
    hash_of,
    lowest_ranked,
    mixed,
    place_hash,
    read_rows,
)
from classifiers.students.preprocessing import MAX_CHARACTERS, truncate
from pipeline.shard_documents import ShardDocuments

ROWS = 200


def observed(folder: Path, sizes: list[int]) -> list[Path]:
    """Observations of ROWS documents in shards of these sizes; every third has label 1."""
    source = pa.array(["a.jsonl"] * ROWS, pa.large_string())
    table = pa.table(
        {
            "label": np.arange(ROWS) % 3 == 1,
            "hash": place_hash(source, pa.array(range(ROWS))),
        }
    ).cast(pa.schema([("label", pa.int8()), ("hash", pa.uint64())]))
    paths, start = [], 0
    for number, size in enumerate(sizes):
        paths.append(folder / f"{len(sizes)}-{number}.parquet")
        pq.write_table(table.slice(start, size), paths[-1], row_group_size=7)
        start += size
    assert start == ROWS
    return paths


@pytest.mark.parametrize("label", [0, 1, None])
def test_a_sample_does_not_depend_on_shards(tmp_path: Path, label: int | None) -> None:
    chosen = []
    for sizes in ([200], [1, 99, 0, 100], [50] * 4):
        places, found = lowest_ranked(observed(tmp_path, sizes), label, 40, seed=3)
        assert found == {0: 133, 1: 67, None: 200}[label]
        starts = np.cumsum([0, *sizes])
        chosen.append([int(starts[shard] + row) for shard, row in places])
    assert len(set(chosen[0])) == 40
    assert chosen[0] == chosen[1] == chosen[2]
    if label is not None:
        assert {row % 3 == 1 for row in chosen[0]} == {label == 1}


def test_a_seed_draws_another_sample_and_a_limit_a_shorter_one(tmp_path: Path) -> None:
    paths = observed(tmp_path, [200])
    long, _ = lowest_ranked(paths, None, 500, seed=3)
    assert len(long) == ROWS
    assert lowest_ranked(paths, None, 9, seed=3)[0].tolist() == long[:9].tolist()
    assert lowest_ranked(paths, None, 9, seed=4)[0].tolist() != long[:9].tolist()


@given(st.lists(st.integers(0, 2**62), unique=True, min_size=1, max_size=40))
def test_places_have_hashes_of_their_own(offsets: list[int]) -> None:
    names = ["a.jsonl", "b.jsonl"] * len(offsets)
    twice = [offset for offset in offsets for _ in range(2)]
    whole = place_hash(pa.array(names, pa.large_string()), pa.array(twice, pa.int64()))
    assert len(set(whole.tolist())) == len(names)
    single = place_hash(pa.array(names[-1:], pa.large_string()), pa.array(twice[-1:], pa.int64()))
    assert single[0] == whole[-1]


def test_mixing_is_bijective_and_spreads_every_bit() -> None:
    values = mixed(np.arange(2**12, dtype=np.uint64))
    assert len(set(values.tolist())) == 2**12
    flips = mixed(np.arange(64, dtype=np.uint64)) ^ mixed(np.arange(64, dtype=np.uint64) ^ 1)
    assert 28 < np.mean([bin(flip).count("1") for flip in flips.tolist()]) < 36
    assert hash_of("text", 1) != hash_of("text", 2)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 24)), unique=True, max_size=30),
    st.sampled_from([3, 25]),
)
def test_rows_are_read_in_the_order_asked(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int]], group: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    for shard in range(3):
        rows = [{"text": f"{shard}/{row}", "n": row, "other": 1.5} for row in range(25)]
        pq.write_table(pa.Table.from_pylist(rows), folder / str(shard), row_group_size=group)
    places = np.array(asked, dtype=np.int64).reshape(-1, 2)
    table = read_rows([ShardDocuments(folder / str(n)) for n in range(3)], places, ["text", "n"])
    assert table.column_names == ["text", "n"]
    assert table["text"].to_pylist() == [f"{shard}/{row}" for shard, row in asked]
    assert table["n"].to_pylist() == [row for _, row in asked]


def test_texts_are_cut_off_where_students_stop_reading(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["é" * 50_000, "short"], pa.large_string())})
    pq.write_table(table, tmp_path / "documents")
    found = read_rows(
        [ShardDocuments(tmp_path / "documents")], np.array([[0, 1], [0, 0]]), ["text"], truncate
    )
    assert found["text"].to_pylist() == ["short", "é" * MAX_CHARACTERS]
