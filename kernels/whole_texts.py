"""Words and sentences of languages whose spans depend on each other: spaCy reads whole texts."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

from kernels.languages import blank
from kernels.span_tokenizer import REFUSED


class WholeTexts:
    """spaCy's tokenizer and sentencizer for a language, as datatrove uses them."""

    def __init__(self, code: str) -> None:
        self._model = blank(code)
        self._model.add_pipe("sentencizer")
        self._model.vocab[REFUSED]  # met outside any memory zone, it stays usable

    def words(self, text: str) -> list[str]:
        """The tokens of ``text`` without white space around them; empty ones are left out."""
        with self._model.memory_zone():
            stripped = [token.text.strip() for token in self._read(text)]
        return [word for word in stripped if word]

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


@functools.cache
def whole_texts(code: str) -> WholeTexts:
    """The one of this process for a language."""
    return WholeTexts(code)
