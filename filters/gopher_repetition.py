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
from pipeline.step import Rule, RuleStep, Signals, Verdict

Values = npt.NDArray[Any]
NgramLimit = tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(ge=0)]]


class GopherRepetition(RuleStep):
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

    def measure(self, docs: Docs) -> Signals:
        return self._measure(docs, every=True)

    def judge(self, docs: Docs) -> Verdict:
        return self.decide(self._measure(docs, every=False))

    def rules(self) -> list[Rule]:
        limits = [
            ("dup_para_frac", "dup_para_frac", self.dup_para_frac or None),
            ("dup_para_char_frac", "dup_para_char_frac", self.dup_para_char_frac or None),
            ("dup_line_frac", "dup_line_frac", self.dup_line_frac or None),
            ("dup_line_char_frac", "dup_line_char_frac", self.dup_line_char_frac or None),
            *(
                (f"top_{n}_gram", f"top_n_grams.{i}.1", most)
                for i, (n, most) in enumerate(self.top_n_grams)
            ),
            *(
                (f"duplicated_{n}_n_grams", f"dup_n_grams.{i}.1", most)
                for i, (n, most) in enumerate(self.dup_n_grams)
            ),
        ]
        return [
            Rule("empty", "characters", least=1),
            *(Rule(name, name, path, most=most) for name, path, most in limits if most is not None),
        ]

    def _measure(self, docs: Docs, *, every: bool) -> dict[str, Values]:
        """The signals; those of n-grams only where no rule before is broken, unless ``every``."""
        lengths = text_lengths(docs.text)
        paragraphs, lines = repeated_paragraphs(docs.text), repeated_lines(docs.text)
        with np.errstate(invalid="ignore"):  # 0 / 0 in empty texts
            signals = {
                "characters": lengths,
                "dup_para_frac": paragraphs.repeats / paragraphs.pieces,
                "dup_para_char_frac": paragraphs.characters / lengths,
                "dup_line_frac": lines.repeats / lines.pieces,
                "dup_line_char_frac": lines.characters / lengths,
            }
        rules = self.rules()
        broken = np.zeros(len(docs), dtype=np.bool_)
        for rule in rules:
            if not every and rule.signal in signals:
                broken |= rule.broken(signals)
        ngrams = Ngrams(docs.derive("words:en", english_words))
        for reason, limits, count in (
            ("top_{}_gram", self.top_n_grams, ngrams.top_characters),
            ("duplicated_{}_n_grams", self.dup_n_grams, ngrams.repeated_characters),
        ):
            for n in dict.fromkeys(n for n, _ in limits):
                rows = np.flatnonzero(~broken)
                name = reason.format(n)
                signals[name] = np.full(len(docs), np.nan)
                with np.errstate(invalid="ignore"):
                    signals[name][rows] = count(n, rows) / lengths[rows]
                for rule in rules:
                    if not every and rule.signal == name:
                        broken |= rule.broken(signals)
        return signals
