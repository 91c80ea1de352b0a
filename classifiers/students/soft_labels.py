"""What students learn: for every document a probability for each label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.sampling.hash_sampling import Hashes, mixed
from winnow import ShardError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
# Most grades of a scale that is made up for plain numbers.
MOST_GRADES = 10


@dataclass(frozen=True)
class SoftLabels:
    """``p`` [n, labels], rows of which add up to 1. ``values`` are the grades of a scale, in rising
    order; None for categories."""

    labels: tuple[str, ...]
    values: tuple[float, ...] | None
    p: Floats

    def __len__(self) -> int:
        return len(self.p)

    def take(self, rows: Rows) -> SoftLabels:
        """Those of the documents at ``rows`` alone."""
        return SoftLabels(self.labels, self.values, self.p[rows])

    @property
    def expected(self) -> Floats:
        """Σ value·p of each document [n]; of a scale alone."""
        assert self.values is not None, "categories have no order"
        return np.asarray((self.p * np.array(self.values)).sum(1))

    @property
    def best(self) -> Rows:
        """The most probable label of each document [n], the first of equals."""
        return np.asarray(np.argmax(self.p, axis=1), dtype=np.int64)

    @property
    def shares(self) -> Floats:
        """The mean probability of each label [labels]."""
        return np.asarray(self.p.mean(0))

    @property
    def hard(self) -> bool:
        """Whether every document has one label for certain."""
        return bool((self.p.max(1, initial=0) == 1).all())

    def drawn(self, hashes: Hashes, copies: int) -> Rows:
        """Labels [copies, n] as often as they are probable, for learners of hard labels.

        A systematic sample of each document's distribution: one label from each of ``copies``
        equally probable parts of it, in labels' order, at an offset that is the document's own
        (``hashes`` [n]). So a document's labels are its distribution's quantiles, and a label of
        small probability still comes as often as it should among all documents.
        """
        offset = (mixed(hashes) >> np.uint64(11)) * 2.0**-53
        first = (hashes % np.uint64(copies)).astype(np.int64)
        parts = (np.arange(copies)[:, None] + first) % copies
        points = (parts + offset) / copies
        upper = np.cumsum(self.p, axis=1)
        upper[:, -1] = 1
        return np.asarray((points[:, :, None] >= upper[None]).sum(2), dtype=np.int64)


def from_struct(column: pa.StructArray, scale: bool) -> SoftLabels:
    """From a column struct<label: float32, …> without nulls.

    Raises ShardError where the labels of a scale are no rising numbers, or the probabilities of a
    document are none.
    """
    labels = tuple(field.name for field in column.type)
    values = _grades(labels) if scale else None
    columns = [column.field(i).to_numpy(zero_copy_only=False) for i in range(len(labels))]
    p = np.column_stack(columns).astype(np.float64)
    total = p.sum(1)
    wrong = ~((np.nan_to_num(p, nan=-1) >= 0).all(1) & np.isfinite(total) & (total > 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ShardError(
            "bad-label",
            f"{int(wrong.sum())} of {len(p)} labels are no probabilities: {p[row].tolist()}",
            "label again, or leave such documents unlabelled (null)",
        )
    return SoftLabels(labels, values, p / total[:, None])


def _grades(labels: Sequence[str]) -> tuple[float, ...]:
    try:
        values = tuple(float(label) for label in labels)
    except ValueError:
        values = (math.nan,)
    if not all(a < b for a, b in pairwise(values)) or math.isnan(values[0]):
        message = f"the labels {', '.join(labels)} are not the grades of a scale, in rising order"
        raise ShardError("bad-label", message, "use labels that the step `label` made")
    return values


def from_numbers(numbers: Floats) -> SoftLabels:
    """From a grade for each document [n], finite.

    The grades that occur make the scale where there are ten at most; else ten at equal distances
    do, and a number between two has both, by how near it is.
    """
    grades = np.unique(numbers)
    if len(grades) > MOST_GRADES:
        grades = np.linspace(grades[0], grades[-1], MOST_GRADES)
    above = np.clip(np.searchsorted(grades, numbers, side="left"), 1, max(len(grades) - 1, 1))
    p = np.zeros((len(numbers), len(grades)))
    rows = np.arange(len(numbers))
    if len(grades) == 1:
        p[:] = 1
    else:
        share = (numbers - grades[above - 1]) / (grades[above] - grades[above - 1])
        p[rows, above - 1], p[rows, above] = 1 - share, share
    return SoftLabels(tuple(f"{grade:g}" for grade in grades), tuple(grades.tolist()), p)
