"""C4's quality rules (Raffel et al. 2020, arXiv:1910.10683, section 2.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

import kernels.lines
import kernels.words
from filters.word_rules import WordRules
from winnow import BoolArray, Docs, FilterResult, Rule, Signals

if TYPE_CHECKING:
    from kernels.lines import C4Lines


class C4Quality(WordRules):
    """Keep the lines that look like prose, and the documents that have enough of them.

    Decisions, reasons and edited text are those of datatrove 0.10.1's ``C4QualityFilter``. A line
    that names "lorem ipsum" or has a curly bracket drops the document; other lines at fault are
    taken out, and citations ("[1]", "[edit]", "[citation needed]") out of the rest.

    Signals count lines, in all and by what became of them, up to the one that dropped the
    document. ``sentences`` is NaN where the result did not need it: in documents dropped before,
    and in those of at least ``min_num_sentences`` lines, each of which has a sentence.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines", "words")

    split_paragraph: bool = Field(
        True,
        description="apply the rules to lines; if false, to sentences, which takes a hundred "
        "times as long",
    )
    remove_citations: bool = Field(True, description="take citations out of lines")
    filter_no_terminal_punct: bool = Field(
        True, description="drop lines that do not end in one of . ? ! \" ', or end in an ellipsis"
    )
    min_num_sentences: int = Field(
        5, ge=-1, description="least number of sentences in the lines that are left; -1: any"
    )
    min_words_per_line: int = Field(
        3, ge=-1, description="least number of words in a line, citations counted; -1: any"
    )
    max_word_length: int = Field(
        1000, ge=-1, description="most characters of a word in a line; -1: any"
    )
    filter_lorem_ipsum: bool = Field(
        True, description='drop documents with "lorem ipsum", in any case'
    )
    filter_javascript: bool = Field(True, description='drop lines with "javascript", in any case')
    filter_curly_bracket: bool = Field(True, description='drop documents with "{"')
    filter_policy: bool = Field(
        True, description="drop lines on terms of use, privacy policies and cookies"
    )

    def _require_language(self) -> None:
        kernels.words.sentence_code(self.language)

    def edits_text(self) -> bool:
        return True

    def measure(self, docs: Docs) -> Signals:
        return self._signals(self._lines(docs), np.ones(len(docs), dtype=np.bool_))

    def filter(self, docs: Docs) -> FilterResult:
        lines = self._lines(docs)
        dropped = (lines.count("lorem_ipsum") | lines.count("curly_bracket")) > 0
        few = lines.count("kept_lines") < self.min_num_sentences
        result = self.apply(self._signals(lines, few & ~dropped))
        return replace(result, text=lines.text())

    def rules(self) -> list[Rule]:
        rules = [
            Rule("lorem_ipsum", "lorem_ipsum", most=0),
            Rule("curly_bracket", "curly_bracket", most=0),
        ]
        if self.min_num_sentences > 0:
            least = self.min_num_sentences
            rules.append(Rule("too_few_sentences", "sentences", "min_num_sentences", least=least))
        return rules

    def _lines(self, docs: Docs) -> C4Lines:
        watched = (
            kernels.lines.LOREM_IPSUM * self.filter_lorem_ipsum
            | kernels.lines.JAVASCRIPT * self.filter_javascript
            | kernels.lines.CURLY_BRACKET * self.filter_curly_bracket
            | kernels.lines.POLICY * self.filter_policy
        )
        rules = kernels.lines.LineRules(
            remove_citations=self.remove_citations,
            terminal=self.filter_no_terminal_punct,
            min_words=self.min_words_per_line,
            max_word_length=self.max_word_length,
            watched=watched,
        )
        return kernels.lines.c4_lines(
            docs.text, rules, None if self.split_paragraph else sentences(docs.text, self.language)
        )

    def _signals(self, lines: C4Lines, wanted: BoolArray) -> dict[str, npt.NDArray[np.float64]]:
        """All counts, and the sentences of the texts that are ``wanted`` [rows]."""
        count = np.full(len(wanted), np.nan)
        if self.min_num_sentences >= 0:
            rows = np.flatnonzero(wanted)
            kept = lines.count("kept_lines")[rows]
            count[rows] = kept
            if self.split_paragraph:
                found = kernels.words.count_sentences(lines.kept(rows), self.language)
                upto = np.concatenate([np.zeros(1, np.int64), np.cumsum(found)])
                ends = np.cumsum(kept)
                count[rows] = upto[ends] - upto[ends - kept]
        return {**{name: lines.count(name) for name in kernels.lines.COUNTS}, "sentences": count}


def sentences(text: pa.LargeStringArray, language: str) -> pa.LargeListArray:
    """Every text, cut into sentences as datatrove cuts it."""
    reader = kernels.words.whole_texts(kernels.words.sentence_code(language))
    rows = [reader.sentences(row) for row in text.to_pylist()]
    return pa.array(rows, pa.large_list(pa.large_string()))
