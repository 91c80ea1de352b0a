"""mC4's rule on paragraphs (Xue et al. 2021, arXiv:2010.11934, section 3.1)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

import kernels.lines
from winnow import Docs, Rule, Signals, ThresholdFilter


class C4Paragraphs(ThresholdFilter):
    """Drop documents that do not have enough long lines.

    Decisions and the reason ("< 3 paragraphs") are those of datatrove 0.10.1's
    ``C4ParagraphFilter``, whose limits are fixed: whatever the least number, it looks at the three
    longest lines. Here as many lines must be long as ``min_paragraphs`` says. Lines are what lies
    between newlines.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines",)

    min_paragraphs: int = Field(3, ge=0, description="least number of long lines")
    min_paragraph_len: int = Field(
        200, ge=0, description="least length of a line that counts, in characters"
    )

    def measure(self, docs: Docs) -> Signals:
        return {"paragraphs": kernels.lines.long_lines(docs.text, self.min_paragraph_len)}

    def rules(self) -> list[Rule]:
        least = self.min_paragraphs
        return [Rule(f"< {least} paragraphs", "paragraphs", "min_paragraphs", least=least)]
