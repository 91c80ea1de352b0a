"""Gopher's repetition rules (Rae et al. 2021, arXiv:2112.11446, table A1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import Field

import kernels.lines
import kernels.ngrams
import kernels.words
from filters.word_rules import WordRules
from winnow import BoolArray, Docs, FilterResult, Rule, Signals

if TYPE_CHECKING:
    import numpy.typing as npt

Values: TypeAlias = "npt.NDArray[Any]"
NgramLimit = tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(ge=0)]]


class GopherRepetition(WordRules):
    """Drop documents that repeat themselves, by Gopher's repetition rules.

    Decisions and reasons are those of datatrove 0.10.1's ``GopherRepetitionFilter``: the reason
    is the first rule broken. Shares of characters are of the whole text. A rule on lines or
    paragraphs whose parameter is null or 0 is off, one on n-grams when it is not listed.

    When documents are filtered, n-gram signals are NaN for those that an earlier rule has dropped,
    and for kept ones where an upper bound already shows that the rule is not broken.
    """

    kernels: ClassVar[tuple[str, ...]] = ("lines", "ngrams", "words")

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

    def measure(self, docs: Docs) -> Signals:
        signals = self._measure_lines(docs)
        count = _Counts(self.words(docs), signals["characters"])
        import numpy as np

        rows = np.arange(len(docs))
        return signals | {name: count(*which, rows) for name, which in self._ngrams().items()}

    def filter(self, docs: Docs) -> FilterResult:
        """As measuring everything would, but for the signals of n-grams that decide nothing."""
        import numpy as np

        signals = self._measure_lines(docs)
        rules = self.rules()
        broken = np.zeros(len(docs), dtype=np.bool_)
        for rule in rules:
            if rule.signal in signals:
                broken |= rule.broken(signals)
        # By document, how many signals of n-grams are called for: all, or up to the rule broken.
        reached = np.where(broken, 0, len(self._ngrams()))
        count = _Counts(self.words(docs), signals["characters"])
        bounds = count.bounds(self.dup_n_grams, np.flatnonzero(~broken))
        for number, (name, which) in enumerate(self._ngrams().items(), start=1):
            own = [rule for rule in rules if rule.signal == name]
            bound = {name: bounds(*which)}
            rows = np.flatnonzero(~broken & _any_broken(own, bound))
            signals[name] = np.full(len(docs), np.nan)
            signals[name][rows] = count(*which, rows)
            found = ~broken & _any_broken(own, signals)
            reached[found] = number
            broken |= found
        # What is dropped says all that was measured until then.
        for number, (name, which) in enumerate(self._ngrams().items(), start=1):
            rows = np.flatnonzero(broken & (reached >= number) & np.isnan(signals[name]))
            signals[name][rows] = count(*which, rows)
        return self.apply(signals)

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

    def _measure_lines(self, docs: Docs) -> dict[str, Values]:
        import numpy as np

        lengths = kernels.lines.text_lengths(docs.text)
        paragraphs, lines = (
            kernels.lines.repeated_paragraphs(docs.text),
            kernels.lines.repeated_lines(docs.text),
        )
        with np.errstate(invalid="ignore"):  # 0 / 0 in empty texts
            return {
                "characters": lengths,
                "dup_para_frac": paragraphs.repeats / paragraphs.pieces,
                "dup_para_char_frac": paragraphs.characters / lengths,
                "dup_line_frac": lines.repeats / lines.pieces,
                "dup_line_char_frac": lines.characters / lengths,
            }

    def _ngrams(self) -> dict[str, tuple[bool, int]]:
        """By signal: whether it is of the most frequent n-gram, and n; in the order of rules."""
        return {
            **{f"top_{n}_gram": (True, n) for n, _ in self.top_n_grams},
            **{f"duplicated_{n}_n_grams": (False, n) for n, _ in self.dup_n_grams},
        }


def _any_broken(rules: Sequence[Rule], signals: Signals) -> BoolArray:
    """Which documents [rows] break one of ``rules``, of which there is one at least."""
    import numpy as np

    return np.asarray(np.logical_or.reduce([rule.broken(signals) for rule in rules]))


class _Counts:
    """Shares of characters in n-grams, and bounds of them."""

    def __init__(self, words: kernels.words.Words, lengths: Values) -> None:
        self._words = words
        self._ngrams = kernels.ngrams.Ngrams(self._words)
        self._lengths = lengths

    def __call__(self, top: bool, n: int, rows: Values) -> Values:
        """Of documents ``rows``."""
        import numpy as np

        count = self._ngrams.top_characters if top else self._ngrams.repeated_characters
        with np.errstate(invalid="ignore"):
            return np.asarray(count(n, rows) / self._lengths[rows])

    def bounds(self, repeated: Sequence[NgramLimit], rows: Values) -> Callable[[bool, int], Values]:
        """No share [documents] is above its bound, which is infinite but for documents ``rows``."""
        import numpy as np

        found = kernels.ngrams.ngram_bounds(self._words, [n for n, _ in repeated], rows)

        def bound(top: bool, n: int) -> Values:
            most = found.top(n) if top else found.repeated[n]
            everywhere = np.full(len(self._words), np.inf)
            if most is not None:
                everywhere[rows] = most / self._lengths[rows]
            return everywhere

        return bound
