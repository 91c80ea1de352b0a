"""Gopher's quality rules (Rae et al. 2021, arXiv:2112.11446, appendix A.1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from kernels.lines import Marks, marks
from kernels.ngrams import WordCounts, count_words
from kernels.words import english_words
from pipeline.documents import Docs
from pipeline.step import RowStep, Verdict

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

Values = npt.NDArray[Any]


class GopherQuality(RowStep):
    """Drop documents that do not look like prose, by Gopher's quality rules.

    Decisions and reasons are those of datatrove 0.10.1's ``GopherQualityFilter``: the reason is
    the first rule broken. A rule whose parameter is null or 0 is off. Where datatrove divides by
    zero (a document without words whose ``min_doc_words`` rule is off), the reason is ``empty``.
    """

    min_doc_words: int | None = Field(50, ge=0, description="least number of non-symbol words")
    max_doc_words: int | None = Field(
        100_000, ge=0, description="largest number of non-symbol words"
    )
    min_avg_word_length: float | None = Field(
        3, ge=0, description="least mean length of non-symbol words, in characters"
    )
    max_avg_word_length: float | None = Field(
        10, ge=0, description="largest mean length of non-symbol words, in characters"
    )
    max_symbol_word_ratio: float | None = Field(
        0.1, ge=0, description='most "#" per word, and most ellipses per word'
    )
    max_bullet_lines_ratio: float | None = Field(
        0.9, ge=0, description='largest share of lines that begin with "•" or "-"'
    )
    max_ellipsis_lines_ratio: float | None = Field(
        0.3, ge=0, description="largest share of lines that end in an ellipsis"
    )
    max_non_alpha_words_ratio: float | None = Field(
        0.8, ge=0, description="least share of words that have a letter (datatrove's name for it)"
    )
    min_stop_words: int | None = Field(2, ge=0, description="least number of distinct stop words")
    stop_words: tuple[str, ...] = Field(STOP_WORDS, description="the stop words, case-sensitive")

    def prepare(self) -> None:
        self.judge(Docs(pa.record_batch({"text": pa.array(["text"], pa.large_string())})))

    def judge(self, docs: Docs) -> Verdict:
        counts = count_words(docs.derive("words:en", english_words), self.stop_words)
        signals = _signals(counts, marks(docs.text))
        codes = np.zeros(len(docs), dtype=np.int8)
        reasons = []
        for reason, broken in self._rules(signals):
            reasons.append(reason)
            codes[(codes == 0) & broken] = len(reasons)
        return Verdict.of_codes(codes, reasons, signals)

    def _rules(self, signals: dict[str, Values]) -> Iterator[tuple[str, Values]]:
        """Reasons and which documents [rows] break the rule, in the order of judgement."""
        words = signals["non_symbol_words"]
        if self.min_doc_words:
            yield "gopher_short_doc", words < self.min_doc_words
        if self.max_doc_words:
            yield "gopher_long_doc", words > self.max_doc_words
        if self.min_avg_word_length:
            length = signals["mean_word_length"]
            yield "gopher_below_avg_threshold", length < self.min_avg_word_length
        if self.max_avg_word_length:
            length = signals["mean_word_length"]
            yield "gopher_above_avg_threshold", length > self.max_avg_word_length
        if self.max_symbol_word_ratio or self.max_non_alpha_words_ratio:
            yield "empty", np.isnan(signals["alpha_words_ratio"])
        if self.max_bullet_lines_ratio or self.max_ellipsis_lines_ratio:
            yield "empty", np.isnan(signals["bullet_lines_ratio"])
        if limit := self.max_symbol_word_ratio:
            yield "gopher_too_many_hashes", signals["hash_ratio"] > limit
            yield "gopher_too_many_ellipsis", signals["ellipsis_ratio"] > limit
        if limit := self.max_bullet_lines_ratio:
            yield "gopher_too_many_bullets", signals["bullet_lines_ratio"] > limit
        if limit := self.max_ellipsis_lines_ratio:
            yield "gopher_too_many_end_ellipsis", signals["ellipsis_lines_ratio"] > limit
        if limit := self.max_non_alpha_words_ratio:
            yield "gopher_below_alpha_threshold", signals["alpha_words_ratio"] < limit
        if self.min_stop_words:
            yield "gopher_enough_stop_words", signals["stop_words"] < self.min_stop_words


def _signals(counts: WordCounts, found: Marks) -> dict[str, Values]:
    """What the rules measure [rows]; shares of nothing are NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "non_symbol_words": counts.plain,
            "mean_word_length": counts.plain_characters / counts.plain,
            "hash_ratio": found.hashes / counts.words,
            "ellipsis_ratio": found.ellipses / counts.words,
            "bullet_lines_ratio": found.bullets / found.lines,
            "ellipsis_lines_ratio": found.trailing / found.lines,
            "alpha_words_ratio": counts.alphabetic / counts.words,
            "stop_words": counts.listed,
        }
