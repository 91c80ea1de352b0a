"""Documents as the mean of their words' vectors, by a fastText model of words.

A word's vector is the mean of its own and of its n-grams' (Bojanowski et al. 2017, arXiv
1607.04606), brought to length 1; words without any vector do not count. That is what fastText
(0.9.2) calls the vector of a sentence. Vectors are kept for words met before, most of all words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.fasttext.fasttext_average import (
    MAX_WORD_BYTES,
    Floats,
    Hashes,
    Inputs,
    Ints,
    in_dictionary,
    split,
    subwords,
)
from kernels.text.utf8 import Bytes, Offsets, mix, text_buffers

# Up to 64 MB for each 64 columns, of which only what is used is taken up. With room for a quarter
# of that, documents of nine domains took three times as long.
MEMORY_WORDS = 2**18


class Memory(NamedTuple):
    """Words met before: word i is ``words[ends[i]:ends[i + 1]]`` with ``vectors[i]``.

    ``counts[i]`` is 0 for a word without a vector. ``slots`` leads from hashes to words. ``used``
    [2] counts words and bytes.
    """

    slots: Ints
    words: Bytes
    ends: Offsets
    vectors: Floats
    counts: Offsets
    used: Offsets


def new_memory(dim: int, words: int = MEMORY_WORDS) -> Memory:
    """Room for ``words`` (a power of two) vectors of length ``dim``, and one for the word read."""
    return Memory(
        slots=np.full(4 * words, -1, dtype=np.int32),
        words=np.empty(16 * words, dtype=np.uint8),
        ends=np.zeros(words + 1, dtype=np.int64),
        vectors=np.zeros((words + 1, dim), dtype=np.float32),
        counts=np.zeros(words + 1, dtype=np.int64),
        used=np.zeros(2, dtype=np.int64),
    )


@dataclass(frozen=True, repr=False)
class WordVectors:
    """A model of words: ``words`` of its dictionary and their ``frequencies`` in training."""

    words: tuple[str, ...]
    frequencies: npt.NDArray[np.int64]
    inputs: Inputs
    memory: Memory

    @property
    def dim(self) -> int:
        return int(self.inputs.vectors.shape[1])

    def means(self, text: pa.LargeStringArray) -> tuple[Floats, npt.NDArray[np.int64]]:
        """The mean vector [rows, dim] of the words of each row, 0 for none, and their number."""
        data, offsets = text_buffers(text)
        found = np.zeros((len(text), self.dim), dtype=np.float32)
        words = np.zeros(len(text), dtype=np.int64)
        used, memory = self.memory.used, self.memory
        if 4 * used[0] > 3 * (len(memory.ends) - 1) or 4 * used[1] > 3 * len(memory.words):
            # The next text may be in another language.
            memory.slots[:] = -1
            used[:] = 0
        _means(self.inputs, memory, data, offsets, found, words)
        return found, words


@njit(cache=True)
def _means(
    inputs: Inputs, memory: Memory, data: Bytes, offsets: Offsets, found: Floats, number: Offsets
) -> None:
    for row in range(len(offsets) - 1):
        room = (offsets[row + 1] - offsets[row]) // 2 + 2
        begins, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        hashes = np.empty(room, dtype=np.uint32)
        words = split(data, offsets[row], offsets[row + 1], False, begins, ends, hashes)
        number[row] = words
        count = _add(inputs, memory, data, begins, ends, hashes[:words], found[row])
        if count:
            scale = np.float32(1.0 / count)
            for column in range(found.shape[1]):
                found[row, column] *= scale


@njit(cache=True)
def _add(
    inputs: Inputs,
    memory: Memory,
    data: Bytes,
    begins: Offsets,
    ends: Offsets,
    hashes: Hashes,
    total: Floats,
) -> int:
    """Add the vectors of words; how many have one."""
    slots, words, starts = memory.slots, memory.words, memory.ends
    vectors, counts, count = memory.vectors, memory.counts, 0
    mask = len(slots) - 1
    for i in range(len(hashes)):
        length, begin = ends[i] - begins[i], begins[i]
        slot = np.int64(mix(np.uint64(hashes[i]))) & mask
        word = slots[slot]
        while word >= 0:
            at = starts[word]
            if starts[word + 1] - at == length:
                same = 0
                while same < length and words[at + same] == data[begin + same]:
                    same += 1
                if same == length:
                    break
            slot = (slot + 1) & mask
            word = slots[slot]
        if word < 0:
            word = _learn(inputs, memory, data, begin, ends[i], hashes[i], slot)
        count += counts[word]
        for column in range(len(total)):
            total[column] += vectors[word, column]
    return int(count)


@njit(cache=True)
def _learn(
    inputs: Inputs, memory: Memory, data: Bytes, start: int, end: int, value: np.uint32, slot: int
) -> int:
    """Where in ``memory`` a new word's vector now is: for good, or past the end if there is no
    room."""
    used, last = memory.used, len(memory.ends) - 1
    keep = (
        end - start <= MAX_WORD_BYTES
        and used[0] < last
        and used[1] + end - start <= len(memory.words)
    )
    word = used[0] if keep else last
    memory.counts[word] = _unit(inputs, data, start, end, value, memory.vectors[word])
    if keep:
        for i in range(end - start):
            memory.words[used[1] + i] = data[start + i]
        used[0] += 1
        used[1] += end - start
        memory.ends[used[0]] = used[1]
        memory.slots[slot] = word
    return int(word)


@njit(cache=True)
def _unit(
    inputs: Inputs, data: Bytes, start: int, end: int, value: np.uint32, vector: Floats
) -> int:
    """Put a word's vector of length 1 into ``vector``; 0 when it has none, else 1."""
    vectors = inputs.vectors
    sizes = (inputs.minn, inputs.maxn, inputs.buckets, len(inputs.starts) - 1)
    rows = np.empty(1 + max(inputs.maxn, 0), dtype=np.int32)
    vector[:] = 0
    rows[0] = in_dictionary(inputs, data, start, end, value)
    count = 1 if rows[0] >= 0 else 0
    for column in range(len(vector) if count else 0):
        vector[column] = vectors[rows[0], column]
    for first in range(start - 1, end + 1 if inputs.maxn > 0 else start - 1):
        last = subwords(data, start, end, first, sizes, 1.0 / inputs.buckets, inputs.table, rows, 0)
        for i in range(last):
            for column in range(len(vector)):
                vector[column] += vectors[rows[i], column]
        count += last
    if not count:
        return 0
    squares = np.float32(0)
    for column in range(len(vector)):
        vector[column] *= np.float32(1.0 / count)
        squares += vector[column] * vector[column]
    norm = np.float32(math.sqrt(squares))
    if not norm > 0:
        vector[:] = 0
        return 0
    for column in range(len(vector)):
        vector[column] *= np.float32(1.0 / norm)
    return 1
