"""Labels drawn as often as they are probable, and labels read from what other steps wrote."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.students.soft_labels import MOST_GRADES, SoftLabels, from_numbers, from_struct
from pipeline.errors import ShardError

weights = st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any)
distributions = st.lists(weights, min_size=1, max_size=30)


def soft(rows: list[list[int]], values: tuple[float, ...] | None = (0.0, 1.0, 2.0)) -> SoftLabels:
    p = np.array(rows, dtype=np.float64)
    return SoftLabels(("0", "1", "2"), values, p / p.sum(1, keepdims=True))


@given(distributions, st.integers(1, 12), st.integers(0, 2**63))
def test_a_document_is_drawn_as_often_as_its_probabilities_say(
    rows: list[list[int]], copies: int, start: int
) -> None:
    labels = soft(rows)
    drawn = labels.drawn(np.arange(len(rows), dtype=np.uint64) + np.uint64(start), copies)
    assert drawn.shape == (copies, len(rows))
    for label in range(3):
        often = (drawn == label).sum(0)
        # Within one of the exact number, as quantiles are: below and above the label.
        assert (np.abs(often - copies * labels.p[:, label]) < 2).all()
        assert not often[labels.p[:, label] == 0].any()


def test_rare_labels_come_as_often_as_they_should_among_many() -> None:
    labels = soft([[2, 1, 97]] * 4_000)
    drawn = labels.drawn(np.arange(4_000, dtype=np.uint64) * np.uint64(7_919), 5)
    for label, share in enumerate((0.02, 0.01, 0.97)):
        assert (drawn == label).mean() == pytest.approx(share, abs=0.004)


def test_documents_do_not_all_begin_with_their_lowest_label() -> None:
    drawn = soft([[1, 1, 1]] * 300).drawn(np.arange(300, dtype=np.uint64), 3)
    assert {(row == 0).mean() > 0.2 for row in drawn} == {True}


def test_certain_labels_are_hard_and_give_themselves() -> None:
    certain = soft([[1, 0, 0], [0, 0, 5]])
    assert certain.hard
    assert not soft([[1, 0, 0], [1, 0, 1]]).hard
    assert certain.drawn(np.array([5, 9], np.uint64), 2).tolist() == [[0, 2], [0, 2]]


def test_expected_grades_shares_and_best_labels() -> None:
    labels = soft([[1, 1, 2], [4, 0, 0]])
    assert labels.expected.tolist() == [1.25, 0]
    assert labels.shares.tolist() == [0.625, 0.125, 0.25]
    assert labels.best.tolist() == [2, 0]
    assert len(labels.take(np.array([1]))) == 1


@given(distributions)
def test_structs_are_read_as_probabilities(rows: list[list[int]]) -> None:
    kept = [{"0": a / 9, "1": b / 9, "2": c / 9} for a, b, c in rows]
    kind = pa.struct([(name, pa.float32()) for name in "012"])
    found = from_struct(pa.array(kept, kind), scale=True)
    assert (found.labels, found.values) == (("0", "1", "2"), (0.0, 1.0, 2.0))
    np.testing.assert_allclose(found.p, soft(rows).p, atol=1e-6)
    np.testing.assert_allclose(found.p.sum(1), 1)


def test_a_slice_of_structs_is_read_as_it_stands() -> None:
    kind = pa.struct([("law", pa.float32()), ("art", pa.float32())])
    rows = pa.array([{"law": 1.0, "art": 0.0}, {"law": 0.25, "art": 0.75}], kind).slice(1)
    found = from_struct(rows, scale=False)
    assert (found.labels, found.values) == (("law", "art"), None)
    assert found.p.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("wrong", [[-0.1, 1.1], [0.0, 0.0], [float("nan"), 1.0], [None, 1.0]])
def test_probabilities_that_are_none_are_an_error(wrong: list[float]) -> None:
    kind = pa.struct([("0", pa.float32()), ("1", pa.float32())])
    rows = [{"0": 0.5, "1": 0.5}, dict(zip("01", wrong, strict=True))]
    with pytest.raises(ShardError, match="1 of 2 labels are no probabilities") as caught:
        from_struct(pa.array(rows, kind), scale=True)
    assert caught.value.code == "bad-label"


@pytest.mark.parametrize("names", [("good", "bad"), ("1", "0"), ("nan", "1")])
def test_a_scale_has_rising_grades(names: tuple[str, str]) -> None:
    rows = pa.array([dict.fromkeys(names, 0.5)], pa.struct([(n, pa.float32()) for n in names]))
    with pytest.raises(ShardError, match="not the grades of a scale"):
        from_struct(rows, scale=True)
    assert from_struct(rows, scale=False).labels == names


@given(st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 2)), min_size=1, max_size=40))
def test_numbers_become_distributions_with_the_same_mean(numbers: list[float]) -> None:
    labels = from_numbers(np.array(numbers))
    assert 1 <= len(labels.labels) <= MOST_GRADES
    np.testing.assert_allclose(labels.p.sum(1), 1)
    assert ((labels.p > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(labels.expected, numbers, atol=1e-6)


def test_few_grades_make_the_scale_themselves() -> None:
    labels = from_numbers(np.array([1.0, 0.0, 5.0, 1.0]))
    assert (labels.labels, labels.values) == (("0", "1", "5"), (0.0, 1.0, 5.0))
    assert labels.hard
