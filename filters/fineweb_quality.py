"""FineWeb's quality rules (Penedo et al. 2024, arXiv:2406.17557, section 3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

import kernels.lines
import kernels.words
from filters.word_rules import WordRules
from winnow import Docs, FilterResult, Rule, Signals

if TYPE_CHECKING:
    from kernels.lines import LineShapes

# Code points of the marks that end a sentence in any script, as datatrove 0.10.1 lists them
# (``TERMINAL_PUNCTUATION``).
_TERMINAL = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E
1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E
1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7
A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61
10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD
111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F
16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88
"""


def _characters(ranges: str) -> tuple[str, ...]:
    ends = [[int(end, 16) for end in item.split("-")] for item in ranges.split()]
    return tuple(
        chr(code) for first, *last in ends for code in range(first, (last or [first])[0] + 1)
    )


TERMINAL_PUNCTUATION = _characters(_TERMINAL)


class FineWebQuality(WordRules):
    """Drop documents that are lists, fragments or repeat themselves, by FineWeb's rules.

    Decisions and reasons are those of datatrove 0.10.1's ``FineWebQualityFilter``: the reason is
    the first rule broken. Lines are what lies between newlines and is not all white space. Where
    datatrove divides by zero (a document whose only word it deletes, "IS_ALPHA"), the reason is
    ``empty``, as it is of documents without lines.

    When documents are filtered, ``words`` and ``list_ratio`` are NaN where the result does not
    depend on them.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines", "words")

    line_punct_thr: float = Field(
        0.12, ge=0, description="least share of lines that end in one of `stop_chars`"
    )
    line_punct_exclude_zero: bool = Field(False, description="keep documents without any such line")
    stop_chars: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, description="what lines should end in; null: what ends sentences, in any script"
    )
    short_line_thr: float = Field(0.67, ge=0, description="largest share of short lines")
    short_line_length: int = Field(30, ge=0, description="most characters of a line that is short")
    char_duplicates_ratio: float = Field(
        0.01, ge=0, description="largest share of characters in lines that repeat an earlier one"
    )
    new_line_ratio: float = Field(0.3, ge=0, description="most newlines per word")

    def measure(self, docs: Docs) -> Signals:
        shapes = self._shapes(docs)
        words = np.diff(self.words(docs).starts)
        return self._signals(shapes, words.astype(np.float64))

    def filter(self, docs: Docs) -> FilterResult:
        """As measuring everything would; words are counted where the result depends on them."""
        shapes = self._shapes(docs)
        words = np.full(len(docs), np.nan)
        passed = self.apply(self._signals(shapes, words)).keep
        least = kernels.words.least_words(docs.text, self.language)
        with np.errstate(divide="ignore", invalid="ignore"):
            enough = (least > 0) & (shapes.newlines / least <= self.new_line_ratio)
        rows = np.flatnonzero(passed & ~enough)
        if len(rows):
            words[rows] = np.diff(
                kernels.words.words_of(self.language)(docs.text.take(pa.array(rows))).starts
            )
        return self.apply(self._signals(shapes, words))

    def rules(self) -> list[Rule]:
        return [
            Rule("empty", "lines", least=1),
            _rule("line_punct_ratio", "line_punct_thr", least=self.line_punct_thr),
            _rule("short_line_ratio", "short_line_thr", most=self.short_line_thr),
            _rule("char_dup_ratio", "char_duplicates_ratio", most=self.char_duplicates_ratio),
            Rule("empty", "words", least=1),
            _rule("list_ratio", "new_line_ratio", most=self.new_line_ratio),
        ]

    def _shapes(self, docs: Docs) -> LineShapes:
        endings = TERMINAL_PUNCTUATION if self.stop_chars is None else self.stop_chars
        return kernels.lines.line_shapes(docs.text, endings, self.short_line_length)

    def _signals(self, shapes: LineShapes, words: npt.NDArray[np.float64]) -> Signals:
        """The signals, where ``words`` [documents] are NaN if they were not counted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            punctuated = shapes.ended / shapes.lines
            if self.line_punct_exclude_zero:
                punctuated[punctuated == 0] = np.nan
            return {
                "lines": shapes.lines,
                "line_punct_ratio": punctuated,
                "short_line_ratio": shapes.short / shapes.lines,
                "char_dup_ratio": shapes.repeated / shapes.characters,
                "words": words,
                "list_ratio": np.where(words > 0, shapes.newlines / words, np.nan),
            }


def _rule(name: str, parameter: str, least: float | None = None, most: float | None = None) -> Rule:
    """The rule whose reason and signal have the same name."""
    return Rule(name, name, parameter, least, most)
