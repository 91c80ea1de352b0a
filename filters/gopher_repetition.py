"""Gopher's repetition rules (Rae et al. 2021, arXiv:2112.11446, table A1)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from kernels.lines import repeated_lines, repeated_paragraphs, text_lengths
from kernels.ngrams import Ngrams
from kernels.words import english_words
from pipeline.documents import Docs
from pipeline.step import RowStep, Verdict

Values = npt.NDArray[Any]
NgramLimit = tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(ge=0)]]


class GopherRepetition(RowStep):
    """Drop documents that repeat themselves, by Gopher's repetition rules.

    Decisions and reasons are those of datatrove 0.10.1's ``GopherRepetitionFilter``: the reason
    is the first rule broken. Shares of characters are of the whole text. A rule on lines or
    paragraphs whose parameter is null or 0 is off, one on n-grams when it is not listed. n-gram
    signals are NaN for documents that an earlier rule has dropped.
    """

    dup_line_frac: float | None = Field(
        0.3, ge=0, description="largest share of lines that repeat an earlier one"
    )
    dup_para_frac: float | None = Field(
        0.3, ge=0, description="largest share of paragraphs that repeat an earlier one"
    )
    dup_line_char_frac: float | None = Field(
        0.2, ge=0, description="largest share of characters in repeated lines"
    )
    dup_para_char_frac: float | None = Field(
        0.2, ge=0, description="largest share of characters in repeated paragraphs"
    )
    top_n_grams: tuple[NgramLimit, ...] = Field(
        ((2, 0.2), (3, 0.18), (4, 0.16)),
        description="for each n, largest share of characters in the most frequent n-gram",
    )
    dup_n_grams: tuple[NgramLimit, ...] = Field(
        ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)),
        description="for each n, largest share of characters in repeated n-grams",
    )

    def prepare(self) -> None:
        self.judge(Docs(pa.record_batch({"text": pa.array(["some text"], pa.large_string())})))

    def judge(self, docs: Docs) -> Verdict:
        ruling = _Ruling(len(docs))
        lengths = text_lengths(docs.text)
        ruling.drop("empty", lengths == 0)
        paragraphs, lines = repeated_paragraphs(docs.text), repeated_lines(docs.text)
        with np.errstate(invalid="ignore"):  # 0 / 0 in empty texts
            para_chars, line_chars = paragraphs.characters / lengths, lines.characters / lengths
        ruling.limit("dup_para_frac", paragraphs.repeats / paragraphs.pieces, self.dup_para_frac)
        ruling.limit("dup_para_char_frac", para_chars, self.dup_para_char_frac)
        ruling.limit("dup_line_frac", lines.repeats / lines.pieces, self.dup_line_frac)
        ruling.limit("dup_line_char_frac", line_chars, self.dup_line_char_frac)

        ngrams = Ngrams(docs.derive("words:en", english_words))
        for reason, limits, count in (
            ("top_{}_gram", self.top_n_grams, ngrams.top_characters),
            ("duplicated_{}_n_grams", self.dup_n_grams, ngrams.repeated_characters),
        ):
            for n, most in limits:
                rows = np.flatnonzero(ruling.codes == 0)
                shares = np.full(len(docs), np.nan)
                shares[rows] = count(n, rows) / lengths[rows]
                ruling.limit(reason.format(n), shares, most, always=True)
        return Verdict.of_codes(ruling.codes, ruling.reasons, ruling.signals)


class _Ruling:
    """Which rule each document [rows] breaks first: 0 for none, i for ``reasons[i - 1]``."""

    def __init__(self, rows: int) -> None:
        self.codes: npt.NDArray[np.int16] = np.zeros(rows, dtype=np.int16)
        self.reasons: list[str] = []
        self.signals: dict[str, Values] = {}

    def drop(self, reason: str, broken: Values) -> None:
        self.reasons.append(reason)
        self.codes[(self.codes == 0) & broken] = len(self.reasons)

    def limit(
        self, reason: str, values: Values, most: float | None, *, always: bool = False
    ) -> None:
        """The signal ``reason`` may be ``most``; null and 0 mean any, unless ``always``."""
        self.signals[reason] = values
        if most or (always and most is not None):
            self.drop(reason, values > most)
