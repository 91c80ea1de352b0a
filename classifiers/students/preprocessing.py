"""What students read of a document, in training and in scoring alike."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.text.spaced_punctuation import space_punctuation

MAX_CHARACTERS = 10_000

# What fastText's own reader splits on.
SEPARATORS = " \n\r\t\v\f\0"


def truncate(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """The first 10,000 characters of each document [rows]: no student reads further."""
    return pc.utf8_slice_codeunits(text, 0, MAX_CHARACTERS)


def preprocess(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """What models of words read of each document [rows].

    Its first characters, in lower case, on one line, ASCII punctuation set apart as words of its
    own. That also takes apart whatever fastText reads as more than text: ``__label__``, which
    begins a label, and ``</s>``, which ends a document.
    """
    return space_punctuation(pc.utf8_lower(truncate(text)))


def is_blank(preprocessed: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    """Which preprocessed texts [rows] hold no word."""
    rest = pc.binary_length(pc.ascii_trim(preprocessed, SEPARATORS))
    return np.asarray(pc.equal(rest, 0).to_numpy(zero_copy_only=False), dtype=np.bool_)


class TextBatch:
    """A batch of documents, preprocessed once for all the students that read it."""

    def __init__(self, raw: pa.LargeStringArray) -> None:
        self.raw = raw

    @classmethod
    def of(cls, texts: list[str]) -> TextBatch:
        """From Python strings."""
        return cls(pa.array(texts, pa.large_string()))

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def truncated(self) -> pa.LargeStringArray:
        return truncate(self.raw)

    @cached_property
    def preprocessed(self) -> pa.LargeStringArray:
        return space_punctuation(pc.utf8_lower(self.truncated))

    @cached_property
    def blank(self) -> npt.NDArray[np.bool_]:
        return is_blank(self.preprocessed)

    def take(self, rows: npt.NDArray[np.integer]) -> TextBatch:
        """The documents at ``rows`` alone, in that order."""
        return TextBatch(self.raw.take(pa.array(rows)))
