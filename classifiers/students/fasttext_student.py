"""A fastText classifier of all labels as a student: its score is Σ value·p."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from classifiers.sampling.hash_sampling import Hashes
from classifiers.students.fasttext_classifier import Entry, FastTextClassifier
from classifiers.students.fasttext_training import train
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student import Floats, Student
from classifiers.students.student_files import FASTTEXT_MODEL
from classifiers.students.student_settings import FastTextSettings

# fastText learns from one label a document, so each is written this often, with labels in
# proportion to their probabilities.
COPIES = 5


class FastTextStudent(Student):
    """A fastText model whose labels are the positions of ours: names may hold anything."""

    def __init__(
        self, path: Path, labels: tuple[str, ...], values: tuple[float, ...] | None, digest: str
    ) -> None:
        super().__init__(labels, values, digest)
        self.classifier = FastTextClassifier(path)

    def outputs(self, texts: TextBatch) -> Floats:
        found = self.classifier.probabilities(texts, names(len(self.labels))).astype(np.float64)
        total = found.sum(1, keepdims=True)
        return np.asarray(np.divide(found, total, out=found, where=total > 0))

    def top_features(self, count: int) -> dict[str, list[Entry]]:
        """The words that push a score up (``high``) and down (``low``), or towards each category.

        Of a scale by the log-odds of high grades against low ones; of a category by its own
        against the mean of all.
        """
        called = names(len(self.labels))
        if self.values is None:
            mean = dict.fromkeys(called, -1 / len(called))
            ways = {
                label: {**mean, name: 1 - 1 / len(called)}
                for label, name in zip(self.labels, called, strict=True)
            }
        else:
            middle = sum(self.values) / len(self.values)
            up = {n: v - middle for n, v in zip(called, self.values, strict=True)}
            ways = {"high": up, "low": {name: -factor for name, factor in up.items()}}
        return self.classifier.top_features(ways, count)


def names(labels: int) -> list[str]:
    return [str(label) for label in range(labels)]


def train_fasttext(
    texts: TextBatch,
    soft: SoftLabels,
    hashes: Hashes,
    settings: FastTextSettings,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Train on documents in the order given; the model is written to ``folder``.

    Each pass over the documents takes another label of theirs (``SoftLabels.drawn``). Returns what
    the card is to say.
    """
    copies = 1 if soft.hard else COPIES
    seen = texts.preprocessed.to_pylist()
    lines = (
        (str(label), text)
        for labels in soft.drawn(hashes, copies).tolist()
        for label, text in zip(labels, seen, strict=True)
    )
    passes = max(1, round(settings.epoch / copies))
    train(lines, settings, seed, folder / FASTTEXT_MODEL, passes)
    return {"settings": settings.model_dump(), "copies": copies}
