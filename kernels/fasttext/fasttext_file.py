"""FastText models read from their files, to be run by our own kernels.

Classifiers (.bin or .ftz), and models of words (.bin) for the vectors in them.

The format (version 12) is that of fastText 0.9.2: the magic number, the training arguments, the
dictionary, the input matrix (plain, or quantised by products), the output matrix; little-endian,
without padding. The tree of hierarchical softmax is not stored: it follows from the labels' counts.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.fasttext.fasttext_average import (
    Floats,
    Inputs,
    Ints,
    Memory,
    enter_words,
    forget_if_full,
    new_memory,
)
from kernels.fasttext.fasttext_predict import Outputs, predict
from kernels.fasttext.word_vectors import WordVectors
from kernels.fasttext.word_vectors import new_memory as word_memory
from kernels.text.utf8 import text_buffers

MAGIC, VERSION = 793712314, 12
HIERARCHICAL, SOFTMAX = 1, 3
SUPERVISED, OF_WORDS = 3, (1, 2)
ARGUMENTS = (
    *("dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model"),
    *("bucket", "minn", "maxn", "lr_update_rate"),
)
CENTROIDS = 256
LARGEST_NGRAM = 100


class ModelError(ValueError):
    """The file is no fastText model, or one of a kind that is not read here."""


@dataclass(frozen=True)
class FastTextModel:
    """``labels`` without ``__label__``; the rest is for the compiled loops."""

    labels: tuple[str, ...]
    inputs: Inputs
    outputs: Outputs
    memory: Memory

    def predict(
        self, text: pa.LargeStringArray, *, stop_at_eos: bool = False
    ) -> tuple[Ints, Floats]:
        """The best label [rows], -1 for none, and the score of every label [rows, labels].

        Line breaks are read as spaces. Scores are fastText's: 1.00001 does occur. With
        ``stop_at_eos`` a text is read up to a word ``</s>``, as fastText does.
        """
        data, offsets = text_buffers(text)
        best = np.empty(len(text), dtype=np.int32)
        scores = np.empty((len(text), len(self.labels)), dtype=np.float32)
        forget_if_full(self.memory)
        predict(self.inputs, self.outputs, self.memory, data, offsets, stop_at_eos, best, scores)
        return best, scores


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels alone, without the matrices. Raises ModelError and OSError."""
    with _opened(path) as reader:
        return _Head(reader).names


def read_words(path: Path) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """The words of a classifier's dictionary and how often training met them.

    Raises ModelError and OSError.
    """
    with _opened(path) as reader:
        head = _Head(reader)
        return _decoded(head.words), np.array(head.word_counts, dtype=np.int64)


def read_vectors(path: Path) -> WordVectors:
    """A model of words (skip-gram or CBOW). Raises ModelError and OSError."""
    with _opened(path) as reader:
        head = _Head(reader, classifier=False)
        if reader.number("u1"):
            raise ModelError("it is quantised, which is not read of models of words")
        vectors = _matrix(reader)
    _check(head, vectors, np.empty((len(head.names), vectors.shape[1]), np.float32))
    counts = np.array(head.word_counts, dtype=np.int64)
    memory = word_memory(vectors.shape[1])
    return WordVectors(_decoded(head.words), counts, _inputs(head, vectors), memory)


def _decoded(words: list[bytes]) -> tuple[str, ...]:
    return tuple(word.decode(errors="replace") for word in words)


def read_model(path: Path) -> FastTextModel:
    """A classifier. Raises ModelError and OSError."""
    with _opened(path) as reader:
        head = _Head(reader)
        quantised = reader.number("u1") == 1
        vectors = _quantised(reader) if quantised else _matrix(reader)
        quantised = reader.number("u1") == 1 and quantised
        outputs = _quantised(reader, norms=False) if quantised else _matrix(reader)
    _check(head, vectors, outputs)
    inputs = _inputs(head, vectors)
    return FastTextModel(head.names, inputs, _outputs(head, outputs), new_memory(inputs.maxn))


class _Reader:
    """Values from a file that is mapped into memory, one after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def values(self, kind: str, count: int) -> npt.NDArray[Any]:
        """A copy of the next ``count`` numbers."""
        dtype = np.dtype(f"<{kind}")
        end = self.at + count * dtype.itemsize
        if count < 0 or end > len(self.data):
            raise ModelError("it ends too early")
        start, self.at = self.at, end
        return np.frombuffer(self.data[start:end], dtype=dtype)

    def number(self, kind: str) -> int:
        return int(self.values(kind, 1)[0])

    def text(self) -> bytes:
        """The bytes up to the next NUL."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ModelError("it ends too early")
        start, self.at = self.at, end + 1
        return self.data[start:end]


@contextmanager
def _opened(path: Path) -> Iterator[_Reader]:
    with path.open("rb") as file:
        if not file.seek(0, SEEK_END):
            raise ModelError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _Reader(data)


class _Head:
    """What the file says before the matrices."""

    def __init__(self, reader: _Reader, classifier: bool = True) -> None:
        if reader.number("i4") != MAGIC:
            raise ModelError("it is no fastText model")
        if (version := reader.number("i4")) != VERSION:
            raise ModelError(f"it is of format {version}, and {VERSION} is the one that is read")
        self.arguments = {name: reader.number("i4") for name in ARGUMENTS}
        reader.values("f8", 1)
        loss = self.arguments["loss"]
        if not classifier:
            if self.arguments["model"] not in OF_WORDS:
                raise ModelError("it is no model of words")
        elif self.arguments["model"] != SUPERVISED or loss not in (HIERARCHICAL, SOFTMAX):
            raise ModelError("it is no classifier by softmax or hierarchical softmax")
        size, words, labels = (reader.number("i4") for _ in range(3))
        reader.values("i8", 1)
        pruned = reader.number("i8")
        if words < 0 or labels < int(classifier) or size != words + labels:
            raise ModelError("its dictionary is damaged")
        entries = []
        for _ in range(size):
            entries.append((reader.text(), reader.number("i8")))
            reader.values("u1", 1)
        self.words = [word for word, _ in entries[:words]]
        labelled = [word.decode(errors="replace") for word, _ in entries[words:]]
        self.names = tuple(label.removeprefix("__label__") for label in labelled)
        self.word_counts = [count for _, count in entries[:words]]
        self.label_counts = [count for _, count in entries[words:]]
        # Which buckets have rows, and which: (bucket, row) [n, 2]. None when all have.
        self.pruned: npt.NDArray[np.int32] | None = None
        if pruned >= 0:
            self.pruned = reader.values("i4", 2 * pruned).reshape(pruned, 2)


def _matrix(reader: _Reader) -> Floats:
    rows, columns = reader.number("i8"), reader.number("i8")
    return _shaped(reader.values("f4", rows * columns), rows, columns)


def _shaped(values: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    if rows < 1 or columns < 1 or rows * columns != len(values):
        raise ModelError("its matrices are damaged")
    return values.reshape(rows, columns)


def _quantised(reader: _Reader, norms: bool = True) -> Floats:
    """A matrix quantised by products, unpacked: 4 bytes a number instead of one for several."""
    with_norms = reader.number("u1") == 1
    if with_norms and not norms:
        raise ModelError("the norms of its output matrix are quantised, which is not read")
    rows, columns = reader.number("i8"), reader.number("i8")
    codes = reader.values("u1", reader.number("i4"))
    parts = _quantiser(reader)
    codes = _shaped(codes, rows, len(parts))
    matrix = np.concatenate([part[codes[:, i]] for i, part in enumerate(parts)], axis=1)
    if with_norms:
        norm_codes = reader.values("u1", rows)
        matrix *= _quantiser(reader)[0][norm_codes]
    if matrix.shape[1] != columns:
        raise ModelError("its matrices are damaged")
    matrix.flags.writeable = False  # as those of _matrix: kernels are compiled for one type
    return matrix


def _quantiser(reader: _Reader) -> list[Floats]:
    """The centroids [256, width] of every part of a vector; the last part may be narrower."""
    dim, parts, width, last = (reader.number("i4") for _ in range(4))
    if parts < 1 or (parts - 1) * width + last != dim:
        raise ModelError("its matrices are damaged")
    values = reader.values("f4", dim * CENTROIDS)
    cuts = [CENTROIDS * width * part for part in range(1, parts)]
    return [part.reshape(CENTROIDS, -1) for part in np.split(values, cuts)]


def _check(head: _Head, vectors: Floats, outputs: Floats) -> None:
    """That no number leads out of the matrices, which compiled loops would not notice."""
    arguments, words, pruned = head.arguments, len(head.words), head.pruned
    buckets = arguments["bucket"] if arguments["maxn"] > 0 or arguments["word_ngrams"] > 1 else 0
    fits = (
        vectors.shape[1] == outputs.shape[1] == arguments["dim"]
        and len(outputs) == len(head.names)
        and 0 <= arguments["minn"] <= LARGEST_NGRAM
        and 0 <= arguments["maxn"] <= LARGEST_NGRAM
        and 1 <= arguments["word_ngrams"] <= LARGEST_NGRAM
        and buckets >= 0
        and bool(np.isfinite(vectors).all() and np.isfinite(outputs).all())
    )
    if pruned is None:
        fits = fits and len(vectors) >= words + buckets
    elif len(pruned):
        room = (arguments["bucket"], len(vectors) - words)
        fits = fits and bool((pruned >= 0).all() and (pruned < room).all())
    if not fits:
        raise ModelError("its matrices do not fit its dictionary")


def _inputs(head: _Head, vectors: Floats) -> Inputs:
    arguments = head.arguments
    words = np.frombuffer(b"".join(head.words), dtype=np.uint8)
    starts = np.zeros(len(head.words) + 1, dtype=np.int64)
    np.cumsum([len(word) for word in head.words], out=starts[1:])
    slots = np.full(2 ** (2 * len(head.words)).bit_length(), -1, dtype=np.int32)
    enter_words(words, starts, slots)
    table = np.empty(0, dtype=np.int32)
    if head.pruned is not None:
        table = np.full(arguments["bucket"], -1, dtype=np.int32)
        table[head.pruned[:, 0]] = head.pruned[:, 1]
    return Inputs(
        words=words,
        starts=starts,
        slots=slots,
        table=table,
        minn=arguments["minn"],
        maxn=arguments["maxn"],
        buckets=max(arguments["bucket"], 1),
        word_ngrams=arguments["word_ngrams"],
        vectors=vectors,
    )


def _outputs(head: _Head, vectors: Floats) -> Outputs:
    labels = len(head.names)
    if head.arguments["loss"] == HIERARCHICAL:
        left, right = _tree(head.label_counts)
    else:
        left = right = np.empty(0, dtype=np.int32)
    return Outputs(labels=labels, vectors=vectors, left=left, right=right)


def _tree(counts: list[int]) -> Ints:
    """The Huffman tree of labels with these counts (largest first): left and right [2, nodes].

    Labels come first, then the forks in the order they are made; the last is the root.
    """
    labels = len(counts)
    tree = np.full((2, 2 * labels - 1), -1, dtype=np.int32)
    sizes = [*counts, *[10**15] * (labels - 1)]
    label, fork = labels - 1, labels
    for node in range(labels, 2 * labels - 1):
        for side in range(2):
            if label >= 0 and sizes[label] < sizes[fork]:
                tree[side, node] = label
                label -= 1
            else:
                tree[side, node] = fork
                fork += 1
        sizes[node] = sizes[tree[0, node]] + sizes[tree[1, node]]
    return tree
