"""Words of one white-space-delimited span: spaCy's blank tokenizer of a language, and where its
spans depend on each other.

The tokenizer works in two phases. The first splits every span between white space by itself
(affixes, infixes, exceptions such as "don't"). The second looks through the whole document for
exceptions that the first has split ("):" inside "f(x):"), as sequences of tokens whatever white
space lies between; of overlapping matches the longest wins, then the first. A match across a
space changes nothing itself, but it can win against one inside a span: "f(x):" ends with "):",
while "f(8 ):" becomes ")" and ":" because "8 )" resembles "8)". So a span whose second phase does
something (``Piece.changed``) is independent of its neighbour only when no exception holds the
token pair on both sides of the single space between them (``clashes``). Other white space always
becomes a token and separates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.words.english_rules import read_rules
from kernels.words.languages import blank

# spaCy's vocabulary cannot hold this word (its symbol number, 1, is a reserved key) once the
# memory zone it was first met in is gone. datatrove answers by deleting it from the whole text.
REFUSED = "IS_ALPHA"

_SPANS_PER_CALL = 8_192


@dataclass(frozen=True)
class Piece:
    """The tokens of one span.

    ``first`` and ``last`` number the first and last token before the second phase (0 for tokens
    that clash with none); they index ``SpanTokenizer.clashes``. ``changed`` is whether the
    second phase did anything, ``refused`` whether datatrove would delete REFUSED from the text.
    """

    tokens: Sequence[str]
    first: int
    last: int
    changed: bool
    refused: bool


class SpanTokenizer:
    """spaCy's ``spacy.blank(code)``, for spans. ``clashes`` [last, first] is a truth table.

    Only for languages whose spans are ``independent``. ``rules`` are those of the compiled
    tokenizer, which knows English alone.
    """

    def __init__(self, code: str) -> None:
        self._nlp = blank(code)
        self._whole = self._nlp.tokenizer
        self._nlp.vocab.lex_attr_getters = {}  # nothing here reads shapes, suffixes and the like
        self._nlp.vocab[REFUSED]  # met outside any memory zone, it stays usable
        self._first_phase = _first_phase_alone(self._nlp.vocab, self._whole)
        plain = _tokenizer_like(self._nlp.vocab, self._whole, rules=None)
        phrases = {
            rule: _texts(plain(rule)) for rule in self._whole.rules if _may_be_split(plain, rule)
        }
        self.rules = read_rules(self._whole, phrases) if code == "en" else None
        self._exceptions = {
            _texts(self._whole(rule))[0]
            for rule, phrase in phrases.items()
            if _texts(self._whole(rule)) != phrase
        }
        pairs = sorted({pair for phrase in phrases.values() for pair in pairwise(phrase)})
        self._lasts = _numbered(last for last, _ in pairs)
        self._firsts = _numbered(first for _, first in pairs)
        self.clashes: npt.NDArray[np.bool_] = np.zeros(
            (len(self._lasts) + 1, len(self._firsts) + 1), dtype=np.bool_
        )
        for last, first in pairs:
            self.clashes[self._lasts[last], self._firsts[first]] = True

    @property
    def clashing(self) -> Iterator[tuple[str, int, int]]:
        """Tokens that may clash, each with its number as a first and as a last one."""
        for token in sorted(self._firsts.keys() | self._lasts.keys()):
            yield token, self._firsts.get(token, 0), self._lasts.get(token, 0)

    def pieces(self, spans: Sequence[str]) -> Iterator[Piece]:
        """The tokens of every span, which must hold no white space but single spaces."""
        for begin in range(0, len(spans), _SPANS_PER_CALL):
            chunk = spans[begin : begin + _SPANS_PER_CALL]
            results = self._split(self._whole, chunk)
            # Only where the second phase may have acted does the first have to be seen alone.
            doubtful = [
                i for i, tokens in enumerate(results) if not self._exceptions.isdisjoint(tokens)
            ]
            before = results.copy()
            alone = self._split(self._first_phase, [chunk[i] for i in doubtful])
            for i, tokens in zip(doubtful, alone, strict=True):
                before[i] = tokens
            for tokens, earlier in zip(results, before, strict=True):
                yield Piece(
                    tokens,
                    first=self._firsts.get(earlier[0], 0),
                    last=self._lasts.get(earlier[-1], 0),
                    changed=tokens != earlier,
                    refused=REFUSED in tokens,
                )

    def _split(self, tokenizer: Any, spans: Sequence[str]) -> list[list[str]]:
        """Tokens of each span; a newline between spans keeps them apart."""
        if not spans:
            return []
        results: list[list[str]] = [[]]
        with self._nlp.memory_zone():
            for token in tokenizer("\n".join(spans)):
                if (word := token.text) == "\n":
                    results.append([])
                else:
                    results[-1].append(word)
        return results


def _numbered(tokens: Iterator[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(sorted(set(tokens)), start=1)}


def _texts(doc: Any) -> list[str]:
    return [token.text for token in doc]


def _may_be_split(tokenizer: Any, rule: str) -> bool:
    """Whether spaCy looks for this exception in its second phase."""
    return bool(
        tokenizer.find_prefix(rule) or tokenizer.find_infix(rule) or tokenizer.find_suffix(rule)
    )


def _tokenizer_like(vocab: Any, model: Any, rules: Any) -> Any:
    from spacy.tokenizer import Tokenizer

    return Tokenizer(
        vocab,
        rules=rules,
        prefix_search=model.prefix_search,
        suffix_search=model.suffix_search,
        infix_finditer=model.infix_finditer,
        token_match=model.token_match,
        url_match=model.url_match,
    )


def _first_phase_alone(vocab: Any, model: Any) -> Any:
    """The tokenizer without its second phase.

    spaCy enters an exception there only if, when the exception is added, an affix or infix
    matches it. So none may match until all have been added.
    """
    from spacy.tokenizer import Tokenizer

    adding = True

    def later(search: Callable[[str], Any], nothing: Any) -> Callable[[str], Any]:
        return lambda text: nothing if adding else search(text)

    tokenizer = Tokenizer(
        vocab,
        rules=model.rules,
        prefix_search=later(model.prefix_search, None),
        suffix_search=later(model.suffix_search, None),
        infix_finditer=later(model.infix_finditer, ()),
        token_match=model.token_match,
        url_match=model.url_match,
    )
    adding = False
    return tokenizer


@functools.cache
def independent(code: str) -> bool:
    """Whether every span is cut by itself, but for what SpanTokenizer handles: by spaCy's usual
    tokenizer, without special cases that span white space."""
    from spacy.tokenizer import Tokenizer

    if ":" in code:  # not spaCy's
        return False
    tokenizer = blank(code).tokenizer
    return type(tokenizer) is Tokenizer and not any(" " in rule.strip() for rule in tokenizer.rules)


@functools.cache
def span_tokenizer(code: str) -> SpanTokenizer:
    """The one of this process for a language; loading takes about a second."""
    return SpanTokenizer(code)
