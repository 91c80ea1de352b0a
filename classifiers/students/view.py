"""What students see of a document, in training and in serving alike."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.text.set_apart import set_apart

MAX_CHARACTERS = 10_000

# What fastText's own reader splits on.
SEPARATORS = " \n\r\t\v\f\0"


def beginning(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """The first 10,000 characters of each document [rows]: no student reads further."""
    return pc.utf8_slice_codeunits(text, 0, MAX_CHARACTERS)


def view(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """What models of words see of each document [rows].

    Its beginning, in lower case, on one line, ASCII punctuation set apart as words of its own. That
    also takes apart whatever fastText reads as more than text: ``__label__``, which begins a label,
    and ``</s>``, which ends a document.
    """
    return set_apart(pc.utf8_lower(beginning(text)))


def is_blank(seen: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    """Of which views [rows] nothing is left for a model of words to read."""
    rest = pc.binary_length(pc.ascii_trim(seen, SEPARATORS))
    return np.asarray(pc.equal(rest, 0).to_numpy(zero_copy_only=False), dtype=np.bool_)


class Texts:
    """A batch of documents, prepared once for all the students that read it."""

    def __init__(self, raw: pa.LargeStringArray) -> None:
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def beginning(self) -> pa.LargeStringArray:
        return beginning(self.raw)

    @cached_property
    def seen(self) -> pa.LargeStringArray:
        return set_apart(pc.utf8_lower(self.beginning))

    @cached_property
    def blank(self) -> npt.NDArray[np.bool_]:
        return is_blank(self.seen)

    def take(self, rows: npt.NDArray[np.integer]) -> Texts:
        """The documents at ``rows`` alone, in that order."""
        return Texts(self.raw.take(pa.array(rows)))
