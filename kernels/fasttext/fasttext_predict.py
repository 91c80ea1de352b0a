"""The scores that a fastText classifier gives to labels, from the average vector of a text.

The arithmetic is fastText's own (0.9.2), in single precision where it is there, so that scores are
equal to the last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.fasttext.fasttext_average import Floats, Inputs, Ints, Memory, average
from kernels.text.utf8 import Bytes, Offsets

# fastText adds 1e-5 before each logarithm, also before that of its threshold, 0: a search of the
# tree goes no further below this.
SMALL = 1e-5
LEAST = np.float32(math.log(SMALL))


class Outputs(NamedTuple):
    """The output matrix of a model, and its tree if it has one.

    Without a tree (softmax) ``vectors`` [labels, dim] has a row for every label. With one
    (hierarchical softmax) it has a row for every fork; ``left`` and ``right`` lead from nodes to
    nodes: first come the labels (-1), then the forks, the last of them the root.
    """

    labels: int
    vectors: Floats
    left: Ints
    right: Ints


@njit(cache=True, forceinline=True)
def _product(vectors: Floats, row: int, vector: Floats) -> np.float32:
    total = np.float32(0)
    for i in range(len(vector)):
        total += vectors[row, i] * vector[i]
    return total


@njit(cache=True, forceinline=True)
def _log(value: np.float32) -> np.float32:
    return np.float32(math.log(np.float64(value) + SMALL))


@njit(cache=True)
def _walk(outputs: Outputs, vector: Floats, stack: Ints, above: Floats, logs: Floats) -> None:
    """``logs`` [labels] of probability by hierarchical softmax; -inf for less than LEAST."""
    logs[:] = -np.inf
    depth = 1
    stack[0], above[0] = len(outputs.left) - 1, np.float32(0)
    while depth:
        depth -= 1
        node, score = stack[depth], above[depth]
        if score < LEAST:
            continue
        if outputs.left[node] < 0:
            logs[node] = score
            continue
        product = _product(outputs.vectors, node - outputs.labels, vector)
        right = np.float32(1.0 / np.float64(np.float32(1) + math.exp(-product)))
        left = np.float32(1.0 - np.float64(right))
        stack[depth], above[depth] = outputs.right[node], score + _log(right)
        stack[depth + 1], above[depth + 1] = outputs.left[node], score + _log(left)
        depth += 2


@njit(cache=True)
def _normalise(outputs: Outputs, vector: Floats, logs: Floats) -> None:
    """``logs`` [labels] of probability by softmax."""
    most = -np.float32(np.inf)
    for label in range(outputs.labels):
        logs[label] = _product(outputs.vectors, label, vector)
        most = max(most, logs[label])
    total = np.float32(0)
    for label in range(outputs.labels):
        logs[label] = np.float32(math.exp(np.float64(logs[label] - most)))
        total += logs[label]
    for label in range(outputs.labels):
        logs[label] = _log(logs[label] / total)


@njit(cache=True)
def predict(
    inputs: Inputs,
    outputs: Outputs,
    memory: Memory,
    data: Bytes,
    offsets: Offsets,
    stop_at_eos: bool,
    best: Ints,
    scores: Floats,
) -> None:
    """``scores`` [rows, labels], and the ``best`` label [rows]: -1 where nothing can be read.

    0 for labels that fastText does not list. Line breaks are read as spaces; ``stop_at_eos`` as in
    ``kernels.fasttext.fasttext_average.split``.
    """
    total = np.empty(inputs.vectors.shape[1], dtype=np.float32)
    stack = np.empty(2 * outputs.labels, dtype=np.int32)
    above = np.empty(2 * outputs.labels, dtype=np.float32)
    logs = np.empty(outputs.labels, dtype=np.float32)
    for row in range(len(offsets) - 1):
        if average(inputs, memory, data, offsets[row], offsets[row + 1], stop_at_eos, total) == 0:
            best[row] = -1
            scores[row] = 0
            continue
        if len(outputs.left):
            _walk(outputs, total, stack, above, logs)
        else:
            _normalise(outputs, total, logs)
        best[row] = np.argmax(logs)
        for label in range(outputs.labels):
            scores[row, label] = math.exp(logs[label])
