"""A head on embeddings as a student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.students.embeddings import Embedder
from classifiers.students.fasttext_classifier import Entry, strongest
from classifiers.students.heads import Head, load_head
from classifiers.students.preprocessing import TextBatch
from classifiers.students.student import Floats, Student


class HeadStudent(Student):
    """A linear or a two-layer head on the vectors of an embedder."""

    def __init__(
        self,
        path: Path,
        embedder: Embedder,
        labels: tuple[str, ...],
        values: tuple[float, ...] | None,
        digest: str,
    ) -> None:
        super().__init__(labels, values, digest)
        self.embedder = embedder
        self.head: Head = load_head(path)

    def outputs(self, texts: TextBatch) -> Floats:
        return self.head.outputs(self.embedder.vectors(texts))

    def top_features(
        self,
        count: int,
        features: Floats,
        words: Sequence[str],
        frequencies: npt.NDArray[np.int64],
    ) -> dict[str, list[Entry]]:
        """The ``words`` whose vectors push a score up (``high``) and down (``low``), or towards
        each category.

        ``weight`` is what a word's vector adds to the score (of categories: to a label's log-odds
        against the mean of all), by the head's mean slope over documents with ``features``
        [n, dim]; in a mean of vectors a word has a share of that.
        """
        vectors, says = self.embedder.word_vectors(words)
        slopes = self.head.slopes(features)
        if self.values is None:
            each = slopes - slopes.mean(1, keepdims=True)
            ways = {label: each[:, column] for column, label in enumerate(self.labels)}
        else:
            up: npt.NDArray[Any] = (slopes * np.array(self.values)).sum(1)
            ways = {"high": up, "low": -up}
        # Of a vector only what differs from the mean word's moves a mean.
        centred = (vectors - vectors.mean(0)).astype(np.float64) * says
        return {
            name: strongest(words, (centred * way).sum(1), frequencies, count)
            for name, way in ways.items()
        }
