"""What kind of character each code point is, as one table for kernels."""

from __future__ import annotations

import functools
import sys
import unicodedata

import numpy as np
import numpy.typing as npt

from kernels.text.punctuation import PUNCTUATION

SYMBOL = np.uint8(1)  # in PUNCTUATION
LETTER = np.uint8(2)  # str.isalpha
PUNCT = np.uint8(4)  # its Unicode category is one of P*
STOP = np.uint8(8)  # ends a sentence, for spaCy's sentencizer


@functools.cache
def character_flags() -> npt.NDArray[np.uint8]:
    """Flags [code points] as above; made once in a process, in about a third of a second."""
    from spacy.pipeline import Sentencizer

    table = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    for code_point in range(len(table)):
        char = chr(code_point)
        if char.isalpha():
            table[code_point] = LETTER
        elif unicodedata.category(char)[0] == "P":
            table[code_point] = PUNCT
    table[list(map(ord, PUNCTUATION))] |= SYMBOL
    table[list(map(ord, Sentencizer.default_punct_chars))] |= STOP
    table.flags.writeable = False
    return table
