"""How documents become vectors for heads: by word vectors of the corpus, or a neural encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.students.fasttext_training import run
from classifiers.students.preprocessing import TextBatch
from classifiers.students.student_files import WORD_VECTORS
from classifiers.students.student_settings import FastTextVectors
from kernels.fasttext.fasttext_file import read_vectors

Floats = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Turns documents into vectors of one length."""

    def vectors(self, texts: TextBatch) -> Floats:
        """[rows, dim]; zero for a document without any word."""

    def word_vectors(self, words: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The vectors [words, dim] of words alone, and which of their columns [dim] say anything
        of a word (the number of words of a document does not)."""


class WordEmbedder:
    """``FastTextVectors``, trained."""

    def __init__(self, path: Path) -> None:
        self.model = read_vectors(path)

    def vectors(self, texts: TextBatch) -> Floats:
        means, words = self.model.means(texts.preprocessed)
        return np.column_stack([means, np.log1p(words).astype(np.float32)])

    def word_vectors(self, words: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        means, _ = self.model.means(pa.array(words, pa.large_string()))
        says = np.ones(self.model.dim + 1, dtype=np.bool_)
        says[-1] = False
        return np.column_stack([means, np.zeros(len(words), np.float32)]), says


def train_vectors(texts: TextBatch, settings: FastTextVectors, path: Path) -> None:
    """Skip-gram vectors (Bojanowski et al. 2017, arXiv 1607.04606) from documents in the order
    given, written to ``path``. fastText takes no seed for them: equal documents, equal bytes."""
    options = {
        "model": "skipgram",
        "dim": settings.dim,
        "epoch": settings.epoch,
        "lr": settings.lr,
        "minCount": settings.min_count,
        "minn": settings.minn,
        "maxn": settings.maxn,
        "bucket": settings.bucket,
    }
    run(options, texts.preprocessed.to_pylist(), path)


def open_embedder(embedding: Mapping[str, Any], folder: Path, base: Path) -> Embedder:
    """The embedder that a card names: its vectors in the student's ``folder``, or an encoder, a
    folder of which is looked for from ``base``. Raises ShardError where it has changed."""
    if embedding["kind"] == "fasttext":
        return WordEmbedder(folder / WORD_VECTORS)
    # Imported only when asked for: it takes seconds, and is an extra of the installation.
    from classifiers.students.sentence_embedder import SentenceEmbedder

    return SentenceEmbedder(embedding, base)
