"""Gopher's quality rules (Rae et al. 2021, arXiv:2112.11446, appendix A.1.1)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

import kernels.lines
import kernels.ngrams
from filters.word_rules import WordRules
from winnow import Docs, Rule, Signals

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


class GopherQuality(WordRules):
    """Drop documents that do not look like prose, by Gopher's quality rules.

    Decisions and reasons are those of datatrove 0.10.1's ``GopherQualityFilter``: the reason is
    the first rule broken. A rule whose parameter is null or 0 is off. Where datatrove divides by
    zero (a document without words whose ``min_doc_words`` rule is off), the reason is ``empty``.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines", "ngrams", "words")

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

    def measure(self, docs: Docs) -> Signals:
        counts = kernels.ngrams.count_words(self.words(docs), self.stop_words)
        return _signals(counts, kernels.lines.marks(docs.text))

    def rules(self) -> list[Rule]:
        ratios = bool(self.max_symbol_word_ratio or self.max_non_alpha_words_ratio)
        lines = bool(self.max_bullet_lines_ratio or self.max_ellipsis_lines_ratio)
        rules = [
            self._rule("gopher_short_doc", "non_symbol_words", least="min_doc_words"),
            self._rule("gopher_long_doc", "non_symbol_words", most="max_doc_words"),
            self._rule(
                "gopher_below_avg_threshold", "mean_word_length", least="min_avg_word_length"
            ),
            self._rule(
                "gopher_above_avg_threshold", "mean_word_length", most="max_avg_word_length"
            ),
            Rule("empty", "alpha_words_ratio", defined=True) if ratios else None,
            Rule("empty", "bullet_lines_ratio", defined=True) if lines else None,
            self._rule("gopher_too_many_hashes", "hash_ratio", most="max_symbol_word_ratio"),
            self._rule("gopher_too_many_ellipsis", "ellipsis_ratio", most="max_symbol_word_ratio"),
            self._rule(
                "gopher_too_many_bullets", "bullet_lines_ratio", most="max_bullet_lines_ratio"
            ),
            self._rule(
                "gopher_too_many_end_ellipsis",
                "ellipsis_lines_ratio",
                most="max_ellipsis_lines_ratio",
            ),
            self._rule(
                "gopher_below_alpha_threshold",
                "alpha_words_ratio",
                least="max_non_alpha_words_ratio",
            ),
            self._rule("gopher_enough_stop_words", "stop_words", least="min_stop_words"),
        ]
        return [rule for rule in rules if rule]

    def _rule(self, reason: str, signal: str, *, least: str = "", most: str = "") -> Rule | None:
        """The rule whose limit is the named parameter; None when that is null or 0."""
        limit = getattr(self, least or most)
        if not limit:
            return None
        if least:
            return Rule(reason, signal, least, least=limit)
        return Rule(reason, signal, most, most=limit)


def _signals(counts: kernels.ngrams.WordCounts, found: kernels.lines.Marks) -> Signals:
    """What the rules measure [rows]; shares of nothing are NaN."""
    import numpy as np

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
