"""Scores follow from the average vector as in fastText's softmax and hierarchical softmax."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.fasttext.fasttext_average import Floats, Inputs, Ints, enter_words, new_memory
from kernels.fasttext.fasttext_predict import Outputs, predict
from kernels.text.utf8 import text_buffers

# Three labels; fork 3 joins 1 and 2, the root joins 0 and fork 3.
LEFT, RIGHT = [-1, -1, -1, 2, 3], [-1, -1, -1, 1, 0]


def predicted(vector: list[float], outputs: Outputs, text: str = "w") -> tuple[Ints, Floats]:
    """Best and scores of a text whose only word has this vector."""
    word = np.frombuffer(b"w", dtype=np.uint8)
    starts = np.array([0, 1], dtype=np.int64)
    slots = np.full(4, -1, dtype=np.int32)
    enter_words(word, starts, slots)
    vectors = np.array([vector], dtype=np.float32)
    empty = np.empty(0, dtype=np.int32)
    inputs = Inputs(word, starts, slots, empty, 0, 0, 1, 1, vectors)
    data, offsets = text_buffers(pa.array([text], pa.large_string()))
    best = np.full(1, 99, dtype=np.int32)
    scores = np.full((1, outputs.labels), 99, dtype=np.float32)
    predict(inputs, outputs, new_memory(0, words=4), data, offsets, False, best, scores)
    return best, scores


def outputs_of(rows: list[list[float]], tree: bool) -> Outputs:
    left, right = (np.array(side if tree else [], dtype=np.int32) for side in (LEFT, RIGHT))
    return Outputs(3, np.array(rows, dtype=np.float32), left, right)


numbers = st.floats(-1, 1, width=32)
pairs = st.lists(numbers, min_size=2, max_size=2)


@given(vector=pairs, rows=st.lists(pairs, min_size=3, max_size=3))
def test_softmax_gives_shares_of_exponentials(vector: list[float], rows: list[list[float]]) -> None:
    best, scores = predicted(vector, outputs_of(rows, tree=False))
    products = np.array(rows) @ np.array(vector)
    shares = np.exp(products - products.max())
    np.testing.assert_allclose(scores[0], shares / shares.sum() + 1e-5, rtol=1e-4)
    assert scores[0, best[0]] == scores[0].max()


@given(vector=pairs, rows=st.lists(pairs, min_size=3, max_size=3))
def test_a_tree_gives_products_of_its_branches(
    vector: list[float], rows: list[list[float]]
) -> None:
    best, scores = predicted(vector, outputs_of(rows, tree=True))
    fork, root = (1 / (1 + math.exp(-float(np.dot(rows[number], vector)))) for number in (0, 1))
    small = 1e-5
    expected = np.array(
        [
            root + small,
            (1 - root + small) * (fork + small),
            (1 - root + small) * (1 - fork + small),
        ]
    )
    np.testing.assert_allclose(scores[0], expected, rtol=1e-4)
    assert scores[0, best[0]] == scores[0].max()


def test_branches_below_a_hundred_thousandth_are_not_followed() -> None:
    _, scores = predicted([8.0, 0.0], outputs_of([[1, 0], [5, 0], [0, 0]], tree=True))
    assert scores[0, 0] == pytest.approx(1, abs=1e-4)
    assert scores[0, 2] == 0


def test_nothing_to_read_has_no_label_and_no_score() -> None:
    best, scores = predicted([1.0, 1.0], outputs_of([[1, 0], [5, 0], [0, 0]], tree=True), "x y")
    assert best.tolist() == [-1]
    assert scores.tolist() == [[0, 0, 0]]
