"""RefinedWeb's corrections of lines (Penedo et al. 2023, arXiv:2306.01116, appendix G.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

import kernels.lines
import kernels.text
from winnow import Docs, FilterResult, Rule, Signals, ThresholdFilter

if TYPE_CHECKING:
    from kernels.lines import EditedLines


class RefinedWebLines(ThresholdFilter):
    """Take out lines and phrases that belong to a page's buttons; drop what is made of them.

    Rules, their order and defaults are those of DCLM-baseline (Li et al. 2024, arXiv:2406.11794;
    baselines/baselines_configs/dclm_baseline_refinedweb.yaml of mlfoundations/dclm, from
    ``uppercase_ratio_line_modifier`` to ``word_removal_ratio_filter``, whose name is the reason).
    Lines go that are mostly capitals, all digits, counters ("3 likes") or of a single word; then,
    out of short lines, "items in cart" anywhere, "Read more..." at the end, and "Sign-in" at the
    start. As there, the dots stand for any three characters.

    A word that counts as removed is what lies between ASCII white space and begins with a letter
    or digit. A document without any, or of which nothing is left, is ``empty``: DCLM drops it, too.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines", "text")

    max_uppercase_ratio: float | None = Field(
        0.5, ge=0, description="largest share of capitals in a line; null: any"
    )
    max_numeric_ratio: float | None = Field(
        0.999999, ge=0, description="largest share of digits in a line; null: any"
    )
    counter_lines: bool = Field(True, description='drop lines such as "3 likes"')
    min_line_length: int = Field(2, ge=0, description="least number of words in a line")
    substring_max_length: int | None = Field(
        10, ge=0, description="most words of a line from which phrases are cut out; null: none is"
    )
    max_removed_ratio: float = Field(
        0.05, ge=0, description="largest share of words that may be removed"
    )

    def edits_text(self) -> bool:
        return True

    def measure(self, docs: Docs) -> Signals:
        return _signals(self._edited(docs))

    def filter(self, docs: Docs) -> FilterResult:
        edited = self._edited(docs)
        return replace(self.apply(_signals(edited)), text=edited.text)

    def rules(self) -> list[Rule]:
        most = self.max_removed_ratio
        return [
            Rule("empty", "words", least=1),
            Rule("word_removal_ratio_filter", "removed_ratio", "max_removed_ratio", most=most),
            Rule("empty", "bytes_left", least=1),
        ]

    def _edited(self, docs: Docs) -> EditedLines:
        upper, digits = self.max_uppercase_ratio, self.max_numeric_ratio
        rules = kernels.lines.EditRules(
            most_upper=np.inf if upper is None else upper,
            most_digits=np.inf if digits is None else digits,
            counters=self.counter_lines,
            min_words=self.min_line_length,
            boilerplate_words=-1 if (most := self.substring_max_length) is None else most,
        )
        return kernels.lines.edit_lines(docs.text, rules)


def _signals(edited: EditedLines) -> Signals:
    """What the rules measure [rows]; a share of no words is NaN."""
    with np.errstate(invalid="ignore"):
        ratio = (edited.words - edited.words_left) / edited.words
    return {
        "words": edited.words,
        "removed_ratio": ratio,
        "bytes_left": np.diff(kernels.text.text_buffers(edited.text)[1]),
    }
