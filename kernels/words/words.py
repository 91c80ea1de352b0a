"""Words of documents: token numbers from a table that every distinct word enters once.

Text is cut at white space by a compiled loop, and each span looked up in a hash table that leads
to the numbers of its tokens (kernels/words/lexicon.py). Where the tokenizer lets neighbouring spans
depend on each other, they are looked up as one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from kernels.text.utf8 import Offsets, text_buffers
from kernels.words.languages import tokenizer_of
from kernels.words.lexicon import MAX_SPANS, Lexicon, Units
from kernels.words.span_tokenizer import REFUSED, independent, span_tokenizer
from kernels.words.spans import count_spans
from kernels.words.token_table import TokenTable
from kernels.words.whole_texts import whole_words
from kernels.words.word_store import WordStore, store_path

__all__ = ["TokenTable", "Words", "english_words", "least_words", "split_words", "words_of"]


@dataclass(frozen=True)
class Words:
    """The words of some documents.

    ``ids`` [words] are token numbers in ``table``; document i has
    ``ids[starts[i]:starts[i + 1]]``.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    table: TokenTable

    def __len__(self) -> int:
        return len(self.starts) - 1

    def select(self, rows: npt.NDArray[np.int64]) -> Words:
        """The words of the documents at ``rows`` alone, in that order."""
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(np.diff(self.starts)[rows], out=starts[1:])
        ids = np.empty(starts[-1], dtype=np.int32)
        _gather(self.ids, self.starts, rows, starts, ids)
        return Words(ids, starts, self.table)


@njit(cache=True)
def _gather(
    ids: npt.NDArray[np.int32],
    starts: Offsets,
    rows: Offsets,
    to: Offsets,
    gathered: npt.NDArray[np.int32],
) -> None:
    for i in range(len(rows)):
        gathered[to[i] : to[i + 1]] = ids[starts[rows[i]] : starts[rows[i] + 1]]


_lexicons: dict[str, Lexicon] = {}
_tables: dict[str, TokenTable] = {}


def split_words(text: pa.LargeStringArray, language: str = "en") -> Words:
    """Words of every text as datatrove finds them: spaCy's tokens but for white space.

    The token tables are shared by all calls in a process and grow up to a limit. Where the
    tokenizer refuses a text, REFUSED is deleted from it until it does not, as datatrove does
    (once; then it raises). Raises LanguageUnavailable.
    """
    code = tokenizer_of(language)
    if not independent(code):
        return _whole_words(text, code)
    lexicon, units, _ = split_units(text, code)
    table = lexicon.spans.arrays
    starts = np.zeros(len(units.starts), dtype=np.int64)
    _count_tokens(units.entries, units.starts, table.places, starts)
    ids = np.empty(starts[-1], dtype=np.int32)
    _write_tokens(units.entries, table.places, table.ids, ids)
    return Words(ids, starts, lexicon.tokens)


def least_words(text: pa.LargeStringArray, language: str) -> npt.NDArray[np.int64]:
    """At least so many words has every text; ten times as fast as splitting them.

    What lies between white space is one word or several, but where the tokenizer deletes REFUSED
    or special cases span white space: there nothing is promised (0). Raises LanguageUnavailable.
    """
    counts = np.zeros(len(text), dtype=np.int64)
    if independent(tokenizer_of(language)):
        data, offsets = text_buffers(text)
        count_spans(data, offsets, counts)
        counts[pc.match_substring(text, REFUSED).to_numpy(zero_copy_only=False)] = 0
    return counts


@functools.cache
def words_of(language: str) -> Callable[[pa.LargeStringArray], Words]:
    """``split_words`` for one language."""
    return functools.partial(split_words, language=language)


english_words = words_of("en")


def split_units(text: pa.LargeStringArray, code: str) -> tuple[Lexicon, Units, pa.LargeStringArray]:
    """The units of every text, and the texts without what the tokenizer refuses; ``code`` is
    spaCy's for a language whose spans are independent."""
    lexicon = _lexicons.get(code)
    if lexicon is None or lexicon.full:
        _lexicons[code] = lexicon = Lexicon(span_tokenizer(code), _store(code))
    units = lexicon.look_up(*text_buffers(text))
    if not units.refused.any():
        return lexicon, units, text
    cleaned = pc.replace_substring(text, REFUSED, "")
    return split_units(pc.if_else(pa.array(units.refused), cleaned, text), code)


@functools.cache
def _store(code: str) -> WordStore:
    return WordStore(store_path(code))


def _whole_words(text: pa.LargeStringArray, code: str) -> Words:
    table = _tables.get(code)
    if table is None or len(table) > MAX_SPANS:
        _tables[code] = table = TokenTable()
    find = whole_words(code)
    rows = [table.add(find(row)) for row in text.to_pylist()]
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Words(np.array([word for row in rows for word in row], dtype=np.int32), starts, table)


@njit(cache=True)
def _count_tokens(
    units: npt.NDArray[np.int32], starts: Offsets, places: Offsets, to: Offsets
) -> None:
    for row in range(len(starts) - 1):
        count = 0
        for i in range(starts[row], starts[row + 1]):
            count += places[units[i], 1]
        to[row + 1] = to[row] + count


@njit(cache=True)
def _write_tokens(
    units: npt.NDArray[np.int32],
    places: Offsets,
    tokens: npt.NDArray[np.int32],
    ids: npt.NDArray[np.int32],
) -> None:
    at = 0
    for unit in units:
        begin = places[unit, 0]
        for i in range(begin, begin + places[unit, 1]):
            ids[at] = tokens[i]
            at += 1
