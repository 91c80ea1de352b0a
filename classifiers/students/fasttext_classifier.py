"""A trained fastText classifier: its predictions, and the words that weigh most in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.students.preprocessing import TextBatch
from kernels.fasttext.fasttext_file import read_model, read_words
from winnow import cached_by_files

Entry = dict[str, Any]


class FastTextClassifier:
    """A model read from its file, run by our own kernel: scores equal fastText's to the last bit.

    Raises kernels.fasttext.fasttext_file.ModelError where the file is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = read_model(path)

    def probabilities(self, texts: TextBatch, labels: Sequence[str]) -> npt.NDArray[np.float32]:
        """P of ``labels`` [rows, labels] for each document; 0 for one without any word.

        Also 0 for labels that the model has not met. Rows do not depend on each other. As fastText
        adds 1e-5 before the logarithm that it undoes, 1.00001 does occur.
        """
        _, found = self.model.predict(texts.preprocessed)
        chosen = np.zeros((len(texts), len(labels)), dtype=np.float32)
        for column, label in enumerate(labels):
            if label in self.model.labels:
                chosen[:, column] = found[:, self.model.labels.index(label)]
        chosen[texts.blank] = 0
        return chosen

    def score(self, texts: TextBatch, label: str) -> npt.NDArray[np.float32]:
        """P(``label``) of each document [rows], in [0, 1]."""
        return np.minimum(self.probabilities(texts, [label])[:, 0], np.float32(1))

    def top_features(
        self, directions: Mapping[str, Mapping[str, float]], count: int, min_frequency: int = 5
    ) -> dict[str, list[Entry]]:
        """The words that push documents most in each direction; shortcuts show among them.

        A direction is a sum of labels' log-odds, with a factor for each label. ``weight`` is what
        one occurrence adds to it, times the number of a document's words and n-grams. Words seen
        fewer than ``min_frequency`` times in training are left out; n-grams have no names in a
        fastText model. ``</s>`` is the end of a document: it weighs where short documents differ
        from long ones.
        """
        words, frequencies = read_words(self.path)
        vectors = self.model.inputs.vectors[: len(words)]
        outputs = dict(zip(self.model.labels, self.model.outputs.vectors, strict=True))
        found = {}
        for name, factors in directions.items():
            known = [
                factor * outputs[label] for label, factor in factors.items() if label in outputs
            ]
            weights = vectors @ np.sum(known, axis=0) if known else np.zeros(len(words))
            found[name] = strongest(words, weights, frequencies, count, min_frequency)
        return found


def strongest(
    words: Sequence[str],
    weights: npt.NDArray[Any],
    frequencies: npt.NDArray[np.int64],
    count: int,
    min_frequency: int = 5,
) -> list[Entry]:
    """The ``count`` words with the largest positive ``weights`` [words], the largest first."""
    weights = np.where(frequencies >= min_frequency, weights, 0)
    order = np.argsort(-weights, kind="stable")[:count]
    return [
        {
            "word": words[index][:40],
            "weight": round(float(weights[index]), 2),
            "frequency": int(frequencies[index]),
        }
        for index in order.tolist()
        if weights[index] > 0
    ]


@cached_by_files(maxsize=1)
def load(path: Path) -> FastTextClassifier:
    """The model at ``path``, read once per process and again when the file has changed."""
    return FastTextClassifier(path)
