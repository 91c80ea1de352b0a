from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks import documents

from pipeline.documents import Docs


@dataclass
class Lengths:
    """Something derived: the length of each text, and how often it was built."""

    values: npt.NDArray[np.int64]

    def select(self, rows: npt.NDArray[np.int64]) -> Lengths:
        return Lengths(self.values[rows])


def lengths(text: pa.LargeStringArray) -> Lengths:
    return Lengths(np.array([len(value) for value in text.to_pylist()], dtype=np.int64))


def test_derived_values_are_built_once() -> None:
    docs = Docs(documents(["a", "bb"]))
    assert docs.derive("lengths", lengths) is docs.derive("lengths", lengths)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.booleans())))
def test_derived_values_follow_their_documents(rows: list[tuple[str, bool]]) -> None:
    docs = Docs(documents([text for text, _ in rows]))
    docs.derive("lengths", lengths)
    kept = docs.filter(np.array([keep for _, keep in rows], dtype=bool))

    def never(text: pa.LargeStringArray) -> Lengths:
        raise AssertionError("built again")

    expected = [text for text, keep in rows if keep]
    assert kept.text.to_pylist() == expected
    assert kept.derive("lengths", never).values.tolist() == [len(text) for text in expected]


def test_new_text_forgets_what_was_derived() -> None:
    docs = Docs(documents(["a", "bb"]))
    docs.derive("lengths", lengths)
    edited = docs.with_text(pa.array(["ccc", "dddd"], pa.large_string()))
    assert edited.derive("lengths", lengths).values.tolist() == [3, 4]
    assert docs.text.to_pylist() == ["a", "bb"]


def test_columns_are_appended_or_replaced() -> None:
    docs = Docs(documents(["a", "b"])).with_columns({"score": np.array([0.1, 0.2])})
    again = docs.with_columns({"score": np.array([1, 2])})
    assert again.column("score").to_pylist() == [1, 2]
    assert again.batch.num_columns == docs.batch.num_columns


def test_missing_column_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Docs(documents(["a"])).column("score")
