"""Words of languages whose spans depend on each other: whole texts are read, by spaCy or by the
library that datatrove assigns; and the sentences that spaCy finds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from kernels.words.languages import blank
from kernels.words.library_words import library_words
from kernels.words.span_tokenizer import REFUSED


class WholeTexts:
    """spaCy's tokenizer and sentencizer for a language, as datatrove uses them."""

    def __init__(self, code: str) -> None:
        self._model = blank(code)
        self._model.add_pipe("sentencizer")
        self._model.vocab[REFUSED]  # met outside any memory zone, it stays usable

    def words(self, text: str) -> list[str]:
        """The tokens of ``text`` without white space around them; empty ones are left out."""
        with self._model.memory_zone():
            return _stripped([token.text for token in self._read(text)])

    def sentences(self, text: str) -> list[str]:
        """``text``, cut where datatrove cuts it into sentences; at least one piece.

        Where REFUSED is deleted before ends are looked for, these are some characters early in
        what is cut, as in datatrove.
        """
        with self._model.memory_zone():
            ends = [sentence.end_char for sentence in self._read(text).sents]
        return [text[start:end] for start, end in pairwise([0, *ends[:-1], len(text)])]

    def _read(self, text: str) -> Any:
        self._model.max_length = len(text) + 10
        found = self._model(text)
        if any(token.text == REFUSED for token in found):
            found = self._model(text.replace(REFUSED, ""))
        return found


def _stripped(tokens: Iterable[str]) -> list[str]:
    return [word for token in tokens if (word := token.strip())]


@functools.cache
def whole_texts(code: str) -> WholeTexts:
    """spaCy's reader of this process for a language."""
    return WholeTexts(code)


@functools.cache
def whole_words(tokenizer: str) -> Callable[[str], list[str]]:
    """What finds the words of a text; ``tokenizer`` as ``languages.tokenizer_of`` names it."""
    if ":" not in tokenizer:
        return whole_texts(tokenizer).words
    kind, _, code = tokenizer.partition(":")
    find = library_words(kind, code)
    return lambda text: _stripped(find(text))
