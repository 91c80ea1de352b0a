"""The spans of a language and their tokens, for the life of a process.

Most spans are cut by compiled rules; what those leave goes to the tokenizer itself, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.text.character_flags import character_flags
from kernels.text.utf8 import Bytes, Offsets
from kernels.words.english_rules import Rules
from kernels.words.span_tokenizer import REFUSED, SpanTokenizer
from kernels.words.span_tokens import (
    Clashes,
    cut_entries,
    join_entries,
    number_tokens,
    place_tokens,
)
from kernels.words.spans import (
    CHANGED,
    REFUSES,
    SpanTable,
    cut_spans,
    enter_spans,
    join_spans,
    most_spans,
)
from kernels.words.token_table import TokenTable
from kernels.words.word_store import WordStore

# When a process has met this many distinct spans, or this many bytes of them, it starts an empty
# table. At about 100 bytes a span (its entry, and its share of the tokens) that is 200 MB; one
# batch more may be added before the check.
MAX_SPANS = 2**21
MAX_SPAN_BYTES = 64 * 2**20


class Units(NamedTuple):
    """Spans of some documents, those that depend on each other as one.

    ``entries`` [units] are entries of the span table, document i has
    ``entries[starts[i]:starts[i + 1]]``, ``gaps`` [units] is whether more than one space lies
    before one, and ``refused`` [documents] whether the tokenizer refuses the text.
    """

    entries: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.bool_]


class Lexicon:
    """Spans, their tokens, and what is needed to tell which spans depend on their neighbours."""

    def __init__(self, tokenizer: SpanTokenizer, store: WordStore) -> None:
        self._store = store
        self.tokens = TokenTable()
        self.spans = SpanTable(tokenizer.clashes)
        self._tokenizer = tokenizer
        clashing = list(tokenizer.clashing)
        self.tokens.add([token for token, _, _ in clashing])
        self._clashes = Clashes(
            firsts=np.array([first for _, first, _ in clashing], dtype=np.uint16),
            lasts=np.array([last for _, _, last in clashing], dtype=np.uint16),
            pairs=tokenizer.clashes,
            refused=np.array(self.tokens.add([REFUSED]), dtype=np.int32),
        )

    @property
    def full(self) -> bool:
        return self.spans.count > MAX_SPANS or self.spans.bytes > MAX_SPAN_BYTES

    def look_up(self, data: Bytes, offsets: Offsets) -> Units:
        """The units of the documents ``data[offsets[i]:offsets[i + 1]]``, all with tokens."""
        rows = len(offsets) - 1
        starts = np.zeros(rows + 1, dtype=np.int64)
        # Memory that is not written to costs nothing, and counting first would.
        begins, ends = np.empty((2, most_spans(offsets)), dtype=np.int64)
        joined = np.empty(len(begins), dtype=np.bool_)
        cut_spans(data, offsets, starts, begins, ends, joined)
        entries = np.empty(starts[-1], dtype=np.int32)
        spans, done = self.spans, 0
        while (done := enter_spans(data, begins, ends, done, spans.arrays, entries)) < len(entries):
            spans.grow(int(ends[done] - begins[done]))
        self._learn()

        units = np.empty(starts[-1], dtype=np.int32)
        gaps = np.empty(starts[-1], dtype=np.bool_)
        unit_starts = np.zeros(rows + 1, dtype=np.int64)
        refused = np.zeros(rows, dtype=np.bool_)
        row = 0
        while (
            row := join_spans(
                *(entries, joined, starts, row, spans.arrays, spans.clashes),
                *(units, unit_starts, refused, gaps),
            )
        ) < rows:
            spans.grow(int(offsets[row + 1] - offsets[row]))
        self._learn()
        count = unit_starts[-1]
        return Units(units[:count], unit_starts, gaps[:count], refused)

    def _learn(self) -> None:
        """Give tokens to the spans that were met but have none yet."""
        begin, self.spans.described = self.spans.described, self.spans.count
        if self._tokenizer.rules is None:
            self._ask(range(begin, self.spans.count))
        else:
            self._cut(self._tokenizer.rules, begin)

    def _cut(self, rules: Rules, begin: int) -> None:
        """Cut the spans from entry ``begin`` on by the compiled rules."""
        spans, tokens = self.spans, self.tokens
        counts = np.empty(spans.count - begin, dtype=np.int32)
        room = int(spans.bytes - spans.arrays.ends[begin])  # no token is empty
        begins, stops = np.empty((2, room), dtype=np.int64)
        total = cut_entries(spans.arrays, begin, rules, counts, begins, stops)
        begins, stops = begins[:total], stops[:total]
        spans.make_room(total)
        ids = spans.arrays.ids[spans.arrays.used[1] :]
        done, data, kinds = 0, spans.arrays.data, character_flags()
        while (done := number_tokens(tokens.arrays, kinds, data, begins, stops, done, ids)) < total:
            tokens.grow(int(stops[done] - begins[done]))
        clashing = np.empty_like(counts)
        found = place_tokens(spans.arrays, begin, counts, self._clashes, clashing)
        self._join(rules, clashing[:found])
        self._ask((begin + np.flatnonzero(counts == 0)).tolist())

    def _join(self, rules: Rules, entries: npt.NDArray[np.int32]) -> None:
        """Put special cases together in the spans of ``entries``."""
        spans, tokens, done = self.spans, self.tokens, 0
        while (
            done := join_entries(
                *(spans.arrays, rules, tokens.arrays, character_flags()),
                *(self._clashes.refused[0], entries, done),
            )
        ) < len(entries):
            entry = int(entries[done])
            size = int(spans.arrays.ends[entry + 1] - spans.arrays.ends[entry])
            spans.make_room(size)
            tokens.grow(size)

    def _ask(self, entries: Sequence[int]) -> None:
        """Have the tokenizer itself cut the spans of ``entries`` that it has not cut before."""
        texts = [self.spans.text(entry) for entry in entries]
        new = [text for text in texts if self._store.get(text) is None]
        fresh = dict(zip(new, self._tokenizer.pieces(new), strict=True))
        for entry, text in zip(entries, texts, strict=True):
            piece = fresh.get(text) or self._store.get(text)
            assert piece is not None
            self.spans.describe(
                entry,
                self.tokens.add(piece.tokens),
                first=piece.first,
                last=piece.last,
                traits=CHANGED * piece.changed | REFUSES * piece.refused,
            )
        for text, piece in fresh.items():
            self._store.put(text, piece)
        self._store.save_if_grown()
