from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.scores.score_columns import Groups, group_column, score_column
from pipeline.documents import Docs
from pipeline.errors import ShardError

VALUES = st.sampled_from([None, "", "a", "b", "null"])


def docs(values: object, kind: pa.DataType) -> Docs:
    return Docs(pa.record_batch({"x": pa.array(values, kind)}))


def text(values: list[str | None]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int8(), pa.uint64()])
def test_numbers_of_any_kind_are_scores(kind: pa.DataType) -> None:
    values = [0, 1, None] if pa.types.is_integer(kind) else [0.0, 1.0, float("nan")]
    found = score_column(docs(values, kind), "x")
    assert found.type == pa.float32()
    assert found.to_pylist() == [0.0, 1.0, None]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.bool_(), pa.list_(pa.float32())])
def test_anything_else_is_not_a_score(kind: pa.DataType) -> None:
    with pytest.raises(ShardError, match="not numbers") as caught:
        score_column(docs([], kind), "x")
    assert caught.value.code == "not-a-score"


def test_text_and_whole_numbers_group() -> None:
    assert group_column(docs(["a", None], pa.string()), "x").to_pylist() == ["a", None]
    assert group_column(docs([19, None], pa.int32()), "x").to_pylist() == ["19", None]
    with pytest.raises(ShardError, match="does not group") as caught:
        group_column(docs([0.5], pa.float32()), "x")
    assert caught.value.code == "not-a-group"


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=40), st.integers(1, 50))
def test_rows_have_one_number_exactly_when_all_their_values_are_equal(
    rows: list[tuple[str | None, str | None, str | None]], batch: int
) -> None:
    groups = Groups()
    found: list[int] = []
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        columns = [text([row[column] for row in part]) for column in range(3)]
        found += groups.of(columns, len(part)).tolist()
    names = {number: name for name, number in groups.numbers.items()}
    assert [names[number] for number in found] == rows
    # Numbers are given in the order in which groups are met, whatever the batches.
    assert list(dict.fromkeys(found)) == sorted(set(found))


def test_without_columns_all_rows_are_one_group() -> None:
    groups = Groups()
    assert groups.of([], 3).tolist() == [0, 0, 0]
    assert groups.of([], 0).tolist() == []
    assert groups.numbers == {(): 0}
