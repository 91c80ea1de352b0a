"""Sentences as spaCy's sentencizer cuts them: a token that ends a sentence, what closes behind it
(brackets, quotes), and then the next token begins another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.text.character_flags import PUNCT, STOP
from kernels.text.utf8 import SPACE, Bytes, Offsets, drop_space, text_buffers
from kernels.words.languages import sentence_code
from kernels.words.span_tokenizer import independent
from kernels.words.whole_texts import whole_texts
from kernels.words.words import split_units


def count_sentences(text: pa.LargeStringArray, language: str = "en") -> npt.NDArray[np.int64]:
    """How many sentences datatrove splits every text into; at least 1.

    White space can be one: behind a full stop, more than a single space begins a sentence, also
    when nothing else follows. Raises LanguageUnavailable.
    """
    code = sentence_code(language)
    if not independent(code):
        reader = whole_texts(code)
        return np.array([len(reader.sentences(row)) for row in text.to_pylist()], dtype=np.int64)
    lexicon, units, cleaned = split_units(text, code)
    spans = lexicon.spans.arrays
    counts = np.ones(len(text), dtype=np.int64)
    _count(
        *text_buffers(cleaned),
        *(units.entries, units.starts, units.gaps, spans.places, spans.ids),
        *(lexicon.tokens.flags, counts),
    )
    return counts


@njit(cache=True)
def _count(
    data: Bytes,
    offsets: Offsets,
    units: npt.NDArray[np.int32],
    starts: Offsets,
    gaps: npt.NDArray[np.bool_],
    places: Offsets,
    ids: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint8],
    counts: Offsets,
) -> None:
    for row in range(len(starts) - 1):
        ended = False
        for at in range(starts[row], starts[row + 1]):
            unit = units[at]
            if ended and gaps[at]:  # white space beyond one space is a token
                counts[row] += 1
                ended = False
            for i in range(places[unit, 0], places[unit, 0] + places[unit, 1]):
                flag = flags[ids[i]]
                if flag & STOP:
                    ended = True
                elif ended and not flag & PUNCT:
                    counts[row] += 1
                    ended = False
        if ended:
            begin, end = offsets[row], offsets[row + 1]
            last = drop_space(data, begin, end)
            counts[row] += end - last > 1 or (end > last and data[last] != SPACE)
