"""English words of documents: token numbers from a table that every distinct word enters once.

Text is cut at white space by a compiled loop, and each span looked up in a hash table that leads
to the numbers of its tokens. Spans the table does not hold yet go to the tokenizer
(kernels/english.py) together, once. Where the tokenizer lets neighbouring spans depend on each
other, they are looked up as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from kernels.english import REFUSED, english_tokenizer
from kernels.spans import CHANGED, REFUSES, SpanTable, find_spans, join_spans, most_spans
from kernels.tokens import TokenTable
from kernels.utf8 import Bytes, Offsets, text_buffers

__all__ = ["TokenTable", "Words", "english_words"]

# When a process has met this many distinct spans, or this many bytes of them, it starts an empty
# table. At about 100 bytes a span (its entry, and its share of the tokens) that is 200 MB; one
# batch more may be added before the check.
MAX_SPANS = 2**21
MAX_SPAN_BYTES = 64 * 2**20


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


class _Lexicon:
    """Spans, their tokens, and what is needed to tell which spans depend on their neighbours."""

    def __init__(self) -> None:
        self.tokens = TokenTable()
        self.spans = SpanTable(english_tokenizer().clashes)

    @property
    def full(self) -> bool:
        return self.spans.count > MAX_SPANS or self.spans.bytes > MAX_SPAN_BYTES

    def learn(self) -> None:
        """Tokenize the spans that were met but have no tokens yet."""
        for piece in english_tokenizer().pieces(self.spans.unknown()):
            self.spans.describe(
                self.tokens.add(piece.tokens),
                first=piece.first,
                last=piece.last,
                traits=CHANGED * piece.changed | REFUSES * piece.refused,
            )


_lexicon: _Lexicon | None = None


def english_words(text: pa.LargeStringArray) -> Words:
    """Words of every text as datatrove finds them: spaCy's tokens but for white space.

    The token tables are shared by all calls in a process and grow up to MAX_SPANS. Where the
    tokenizer refuses a text, REFUSED is deleted from it until it does not, as datatrove does
    (once; then it raises).
    """
    global _lexicon
    if _lexicon is None or _lexicon.full:
        _lexicon = _Lexicon()
    data, offsets = text_buffers(text)
    units, starts, refused = _look_up(_lexicon, data, offsets)
    if refused.any():
        cleaned = pc.replace_substring(text, REFUSED, "")
        return english_words(pc.if_else(pa.array(refused), cleaned, text))
    first = _lexicon.spans.token_starts
    word_starts = np.zeros(len(starts), dtype=np.int64)
    _count_tokens(units, starts, first, word_starts)
    ids = np.empty(word_starts[-1], dtype=np.int32)
    _write_tokens(units, first, _lexicon.spans.token_ids, ids)
    return Words(ids, word_starts, _lexicon.tokens)


def _look_up(
    lexicon: _Lexicon, data: Bytes, offsets: Offsets
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Entries [units] of the span table, where each document's begin, and which are refused."""
    rows = len(offsets) - 1
    starts = np.zeros(rows + 1, dtype=np.int64)
    # Memory that is not written to costs nothing, and counting first would.
    entries = np.empty(most_spans(offsets), dtype=np.int32)
    joined = np.empty(len(entries), dtype=np.bool_)
    spans = lexicon.spans

    row = 0
    while (row := find_spans(data, offsets, row, spans.arrays, starts, entries, joined)) < rows:
        spans.grow()
    lexicon.learn()

    units = np.empty(starts[-1], dtype=np.int32)
    unit_starts = np.zeros(rows + 1, dtype=np.int64)
    refused = np.zeros(rows, dtype=np.bool_)
    row = 0
    while (
        row := join_spans(
            entries, joined, starts, row, spans.arrays, spans.clashes, units, unit_starts, refused
        )
    ) < rows:
        spans.grow()
    lexicon.learn()
    return units[: unit_starts[-1]], unit_starts, refused


@njit(cache=True)
def _count_tokens(units: Any, starts: Any, first: Any, word_starts: Any) -> None:
    for row in range(len(starts) - 1):
        count = 0
        for i in range(starts[row], starts[row + 1]):
            count += first[units[i] + 1] - first[units[i]]
        word_starts[row + 1] = word_starts[row] + count


@njit(cache=True)
def _write_tokens(units: Any, first: Any, tokens: Any, ids: Any) -> None:
    at = 0
    for unit in units:
        for i in range(first[unit], first[unit + 1]):
            ids[at] = tokens[i]
            at += 1
