"""What a student is: a small model that scores documents as a large one labelled them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.students.preprocessing import TextBatch

Floats = npt.NDArray[np.floating[Any]]


class Student(ABC):
    """A trained model of ``labels``, ready to score.

    ``values`` are the grades that the labels of a scale stand for, None for categories. ``digest``
    is the sha256 of the model's file. Rows do not depend on each other, and neither does anything
    on how documents are batched (but for the last bits of a neural embedding).
    """

    def __init__(
        self, labels: tuple[str, ...], values: tuple[float, ...] | None, digest: str
    ) -> None:
        self.labels = labels
        self.values = values
        self.digest = digest

    @abstractmethod
    def outputs(self, texts: TextBatch) -> Floats:
        """For each document and label [rows, labels] the model's own estimate of its probability.

        They add up to 1, but a regression's may be below 0 or above 1.
        """

    def score(self, texts: TextBatch) -> npt.NDArray[np.float32]:
        """Σ value·p of each document [rows], the lowest grade for one without any word.

        A regression's may lie outside of the scale: it is not cut off there, so that it ranks
        documents (FineWeb-Edu's clips when it rounds). Raises TypeError for categories.
        """
        if self.values is None:
            raise TypeError("a student of categories has no score")
        found = (self.outputs(texts).astype(np.float64) * np.array(self.values)).sum(1)
        found[texts.blank] = self.values[0]
        return np.asarray(found, dtype=np.float32)

    def probabilities(self, texts: TextBatch) -> npt.NDArray[np.float32]:
        """P of each label [rows, labels]: not below 0, adding up to 1; all 0 without any word."""
        found = np.clip(self.outputs(texts).astype(np.float64), 0, None)
        total = found.sum(1, keepdims=True)
        equal = np.full_like(found, 1 / len(self.labels))
        found = np.divide(found, total, out=equal, where=total > 0)
        found[texts.blank] = 0
        return np.asarray(found, dtype=np.float32)

    def columns(self, column: str, texts: TextBatch) -> dict[str, pa.Array]:
        """What is appended to documents: the score, or the category with its probability, and the
        first 16 hex digits of ``digest`` as ``{column}_student``.

        The category of a document without any word is null, with probability 0.
        """
        model = pa.repeat(pa.scalar(self.digest[:16], pa.large_string()), len(texts))
        if self.values is not None:
            return {column: pa.array(self.score(texts)), f"{column}_student": model}
        p = self.probabilities(texts)
        names = pa.array(self.labels, pa.large_string())
        best = pa.array(p.argmax(1), mask=texts.blank)
        return {
            column: names.take(best),
            f"{column}_confidence": pa.array(p.max(1)),
            f"{column}_student": model,
        }
