"""Columns that steps build on: scores, and text that groups documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.scores.quantiles import Longs
from winnow import Docs, ShardError

# The value of each grouping column; one combination is one group.
Group = tuple[str | None, ...]


def score_column(docs: Docs, name: str) -> pa.FloatArray:
    """A column as 32-bit floats [rows], null where there is no score (null or NaN).

    Raises ShardError when the column does not hold numbers.
    """
    values = docs.column(name)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise ShardError(
            "not-a-score",
            f"the column {name} holds {values.type}, not numbers",
            "name a column of scores",
        )
    scores = values.cast(pa.float32(), safe=False)
    return pc.if_else(pc.is_nan(scores), pa.scalar(None, pa.float32()), scores)


def group_column(docs: Docs, name: str) -> pa.LargeStringArray:
    """A column of text or whole numbers as text [rows].

    Raises ShardError when the column holds something else.
    """
    values = docs.column(name)
    kind = values.type
    if not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    ):
        raise ShardError(
            "not-a-group",
            f"the column {name} holds {kind}, which does not group documents",
            "name columns of text",
        )
    return values.cast(pa.large_string())


class Groups:
    """Numbers groups in the order in which they are met."""

    def __init__(self, numbers: dict[Group, int] | None = None) -> None:
        self.numbers = {} if numbers is None else numbers

    def of(self, columns: Sequence[pa.LargeStringArray], rows: int) -> Longs:
        """The number of each row's group [rows]; new ones get the next numbers. ``columns``
        [columns][rows]; one group of all rows without any."""
        code = np.zeros(rows, np.int64)
        values: list[list[str | None]] = []
        for column in columns:
            encoded = column.dictionary_encode(null_encoding="encode")
            values.append(encoded.dictionary.to_pylist())
            code = code * len(values[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
        met, first, place = np.unique(code, return_index=True, return_inverse=True)
        numbers = np.empty(len(met), np.int64)
        for index in np.argsort(first).tolist():
            group: list[str | None] = []
            rest = int(met[index])
            for known in reversed(values):
                rest, position = divmod(rest, len(known))
                group.insert(0, known[position])
            numbers[index] = self.numbers.setdefault(tuple(group), len(self.numbers))
        return numbers[place]
