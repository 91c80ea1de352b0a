"""What a fastText model reads of a text: the average of the vectors of its words and n-grams.

The arithmetic is fastText's own (0.9.2), addition by addition in single precision, so that what
comes out is equal to the last bit. What is faster: which vectors a word stands for is remembered
(most words repeat), and quantised matrices come unpacked. English prose has 2.4 n-grams a byte, of
which the compressed model of 176 languages knows one in ten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.text.utf8 import Bytes, Offsets, mix, same_bytes

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint32]
Sizes = tuple[int, int, int, int]

# Room for words that are remembered: 20 MB. Longer words are not, as they hardly repeat.
MEMORY_WORDS = 2**18
MAX_WORD_BYTES = 64

HASH_START = np.uint32(2166136261)
HASH_FACTOR = np.uint32(16777619)
WORD_NGRAM_FACTOR = np.uint64(116049371)

# fastText's separators, what it puts around a word and at the end of a line, and how labels begin.
SEPARATES = np.zeros(256, dtype=np.bool_)
SEPARATES[list(b" \n\r\t\v\f\0")] = True
_BEGIN, _END = ord("<"), ord(">")
END_OF_LINE = np.frombuffer(b"</s>", dtype=np.uint8)
LABEL = np.frombuffer(b"__label__", dtype=np.uint8)


class Inputs(NamedTuple):
    """The dictionary and the input matrix of a model.

    Word i of the dictionary is ``words[starts[i]:starts[i + 1]]`` and has row i of ``vectors``;
    ``slots`` leads from hashes to words. n-grams are hashed into ``buckets``; bucket b has row
    ``len(starts) - 1 + table[b]``, none where that is negative, and
    ``len(starts) - 1 + b`` where ``table`` is empty.
    """

    words: Bytes
    starts: Offsets
    slots: Ints
    table: Ints
    minn: int
    maxn: int
    buckets: int
    word_ngrams: int
    vectors: Floats


class Memory(NamedTuple):
    """Words met before and the rows of ``Inputs.vectors`` they stand for.

    Word i is ``words[word_ends[i]:word_ends[i + 1]]``; its rows are
    ``rows[row_ends[i]:row_ends[i + 1]]``. ``slots`` leads from hashes to words. ``used`` [3] counts
    words, bytes and rows. ``scratch`` is for the rows of words that are not remembered.
    """

    slots: Ints
    words: Bytes
    word_ends: Offsets
    rows: Ints
    row_ends: Offsets
    used: Offsets
    scratch: Ints


def new_memory(maxn: int, words: int = MEMORY_WORDS) -> Memory:
    """Memory for a model with n-grams of up to ``maxn`` characters."""
    return Memory(
        slots=np.full(4 * words, -1, dtype=np.int32),
        words=np.empty(16 * words, dtype=np.uint8),
        word_ends=np.zeros(words + 1, dtype=np.int64),
        rows=np.empty(16 * words, dtype=np.int32),
        row_ends=np.zeros(words + 1, dtype=np.int64),
        used=np.zeros(3, dtype=np.int64),
        scratch=np.empty(1 + max(maxn, 0), dtype=np.int32),
    )


def forget_if_full(memory: Memory) -> None:
    """Begin anew when little room is left: the next text may be in another language."""
    room = (len(memory.word_ends) - 1, len(memory.words), len(memory.rows))
    if any(4 * used > 3 * size for used, size in zip(memory.used, room, strict=True)):
        memory.slots[:] = -1
        memory.used[:] = 0


@njit(cache=True, forceinline=True)
def step(value: np.uint32, byte: np.uint8) -> np.uint32:
    """FNV-1a of signed bytes."""
    return np.uint32((value ^ np.uint32(np.int8(byte))) * HASH_FACTOR)


@njit(cache=True)
def hash_of(data: Bytes, start: int, end: int) -> np.uint32:
    value = HASH_START
    for at in range(start, end):
        value = step(value, data[at])
    return value


@njit(cache=True)
def enter_words(words: Bytes, starts: Offsets, slots: Ints) -> None:
    """Make ``slots`` (a power of two of -1, at least one more than words) lead to the words."""
    mask = len(slots) - 1
    for word in range(len(starts) - 1):
        slot = np.int64(hash_of(words, starts[word], starts[word + 1])) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = word


@njit(cache=True, forceinline=True)
def find(
    words: Bytes,
    starts: Offsets,
    slots: Ints,
    slot: int,
    data: Bytes,
    start: int,
    end: int,
) -> int:
    """The slot of a word, or the empty one where it would be, searching from ``slot``."""
    mask = len(slots) - 1
    while slots[slot & mask] >= 0:
        word = slots[slot & mask]
        at = starts[word]
        length = starts[word + 1] - at
        if length == end - start and same_bytes(words, at, data, start, length):
            break
        slot += 1
    return int(slot & mask)


@njit(cache=True, forceinline=True)
def in_dictionary(inputs: Inputs, data: Bytes, start: int, end: int, value: np.uint32) -> int:
    """The row of a word, or -1."""
    slots = inputs.slots
    return int(slots[find(inputs.words, inputs.starts, slots, np.int64(value), data, start, end)])


@njit(cache=True, forceinline=True)
def subwords(
    data: Bytes,
    start: int,
    end: int,
    first: int,
    sizes: Sizes,
    inverse: float,
    table: Ints,
    rows: Ints,
    count: int,
) -> int:
    """Append to ``rows[:count]`` those of the n-grams of "<" + word + ">" that begin ``first``."""
    if start <= first < end and data[first] & 0xC0 == 0x80:
        return count
    minn, maxn, buckets, words = sizes
    value, at, n = HASH_START, first, 1
    while at <= end and n <= maxn:
        value = step(value, np.uint8(_BEGIN if at < start else _END if at == end else data[at]))
        at += 1
        while at < end and data[at] & 0xC0 == 0x80:
            value = step(value, data[at])
            at += 1
        if n >= minn and not (n == 1 and (first < start or at > end)):
            # Multiplying takes a third of the time of a remainder; at most one too many or few.
            row = np.int64(value) - np.int64(np.float64(value) * inverse) * buckets
            if row < 0:
                row += buckets
            elif row >= buckets:
                row -= buckets
            if len(table):
                row = np.int64(table[row])
            if row >= 0:
                rows[count] = words + row
                count += 1
        n += 1
    return int(count)


@njit(cache=True, forceinline=True)
def _add(vectors: Floats, rows: Ints, first: int, last: int, total: Floats) -> int:
    for i in range(first, last):
        row = rows[i]
        for column in range(len(total)):
            total[column] += vectors[row, column]
    return last - first


@njit(cache=True, forceinline=True)
def _learn(
    inputs: Inputs,
    memory: Memory,
    data: Bytes,
    start: int,
    end: int,
    value: np.uint32,
    slot: int,
    total: Floats,
) -> int:
    """Add the vectors of a word that is not in ``memory``, and put it into ``slot`` if there is
    room; how many there are."""
    table, vectors, rows, used = inputs.table, inputs.vectors, memory.rows, memory.used
    sizes = (inputs.minn, inputs.maxn, inputs.buckets, len(inputs.starts) - 1)
    inverse = 1.0 / inputs.buckets
    words, size, at = used[0], used[1], used[2]
    keep = (
        end - start <= MAX_WORD_BYTES
        and words + 1 < len(memory.word_ends)
        and size + end - start <= len(memory.words)
        and at + 1 + (end - start + 2) * inputs.maxn <= len(rows)
    )
    if not keep:
        at, rows = 0, memory.scratch
    last, count = at, 0
    word = in_dictionary(inputs, data, start, end, value)
    if word >= 0:
        rows[last] = word
        last += 1
    for first in range(start - 1, end + 1):
        last = subwords(data, start, end, first, sizes, inverse, table, rows, last)
        if not keep:
            count += _add(vectors, rows, at, last, total)
            last = at
    count += _add(vectors, rows, at, last, total)
    if keep:
        for i in range(end - start):
            memory.words[size + i] = data[start + i]
        memory.word_ends[words + 1] = size + end - start
        memory.row_ends[words + 1] = last
        memory.slots[slot] = words
        used[0], used[1], used[2] = words + 1, size + end - start, last
    return int(count)


@njit(cache=True)
def split(
    data: Bytes,
    start: int,
    end: int,
    stop_at_eos: bool,
    begins: Offsets,
    ends: Offsets,
    hashes: Hashes,
) -> int:
    """Where the words of ``data[start:end]`` lie, and their hashes; how many there are.

    A word END_OF_LINE ends a text for fastText, and here with ``stop_at_eos``; else it is left out.
    """
    words, at = 0, start
    while at < end:
        if SEPARATES[data[at]]:
            at += 1
            continue
        begin, value = at, HASH_START
        while at < end and not SEPARATES[data[at]]:
            value = step(value, data[at])
            at += 1
        length = at - begin
        if length == len(END_OF_LINE) and same_bytes(data, begin, END_OF_LINE, 0, length):
            if stop_at_eos:
                break
            continue
        if length >= len(LABEL) and same_bytes(data, begin, LABEL, 0, len(LABEL)):
            continue
        begins[words], ends[words], hashes[words] = begin, at, value
        words += 1
    return words


@njit(cache=True)
def average(
    inputs: Inputs,
    memory: Memory,
    data: Bytes,
    start: int,
    end: int,
    stop_at_eos: bool,
    total: Floats,
) -> int:
    """Put the average vector of ``data[start:end]`` into ``total``.

    Returns how many vectors it is of; 0 when there is nothing in the text that the model can read.
    ``stop_at_eos`` is explained at ``split``.
    """
    total[:] = 0
    room = (end - start) // 2 + 2
    begins, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    hashes = np.empty(room, dtype=np.uint32)
    words = split(data, start, end, stop_at_eos, begins, ends, hashes)
    if inputs.maxn == 0:
        count = _add_words(inputs, data, begins, ends, hashes[:words], total)
    else:
        count = _add_parts(inputs, memory, data, begins, ends, hashes[:words], total)
    hashes[words] = hash_of(END_OF_LINE, 0, len(END_OF_LINE))
    count += _end_line(inputs, hashes[: words + 1], total)
    if count:
        scale = np.float32(1.0 / count)
        for column in range(len(total)):
            total[column] *= scale
    return int(count)


# What is called inside these loops takes no arrays, and they name those they need first: handing
# an array over counts references, which took longer than the rest (40 ns a word).
@njit(cache=True)
def _add_words(
    inputs: Inputs, data: Bytes, begins: Offsets, ends: Offsets, hashes: Hashes, total: Floats
) -> int:
    """Add the vectors of words, one each (as ``find`` finds them); how many there are."""
    words, starts, slots, vectors = inputs.words, inputs.starts, inputs.slots, inputs.vectors
    mask, count = len(slots) - 1, 0
    for i in range(len(hashes)):
        length, begin = ends[i] - begins[i], begins[i]
        slot = np.int64(hashes[i]) & mask
        row = slots[slot]
        while row >= 0:
            at = starts[row]
            if starts[row + 1] - at == length:
                same = 0
                while same < length and words[at + same] == data[begin + same]:
                    same += 1
                if same == length:
                    break
            slot = (slot + 1) & mask
            row = slots[slot]
        if row >= 0:
            count += 1
            for column in range(len(total)):
                total[column] += vectors[row, column]
    return count


@njit(cache=True)
def _add_parts(
    inputs: Inputs,
    memory: Memory,
    data: Bytes,
    begins: Offsets,
    ends: Offsets,
    hashes: Hashes,
    total: Floats,
) -> int:
    """Add the vectors of words and of the n-grams in them; how many there are."""
    vectors, slots, known = inputs.vectors, memory.slots, memory.words
    word_ends, rows, row_ends = memory.word_ends, memory.rows, memory.row_ends
    count = 0
    for i in range(len(hashes)):
        value, begin, end = hashes[i], begins[i], ends[i]
        slot = find(known, word_ends, slots, np.int64(mix(np.uint64(value))), data, begin, end)
        word = slots[slot]
        if word >= 0:
            count += _add(vectors, rows, row_ends[word], row_ends[word + 1], total)
        else:
            count += _learn(inputs, memory, data, begin, end, value, slot, total)
    return count


@njit(cache=True)
def _end_line(inputs: Inputs, hashes: Hashes, total: Floats) -> int:
    """Add the vectors of the end of the line and of word n-grams, whose words have ``hashes``."""
    vectors, table, words = inputs.vectors, inputs.table, len(inputs.starts) - 1
    buckets, longest = np.uint64(inputs.buckets), inputs.word_ngrams
    row = np.int64(in_dictionary(inputs, END_OF_LINE, np.int64(0), len(END_OF_LINE), hashes[-1]))
    count = 0
    if row >= 0:
        count += 1
        for column in range(len(total)):
            total[column] += vectors[row, column]
    for first in range(len(hashes)):
        ngram = np.uint64(np.int32(hashes[first]))
        for at in range(first + 1, min(first + longest, len(hashes))):
            ngram = ngram * WORD_NGRAM_FACTOR + np.uint64(np.int32(hashes[at]))
            row = np.int64(ngram % buckets)
            if len(table):
                row = np.int64(table[row])
            if row >= 0:
                count += 1
                for column in range(len(total)):
                    total[column] += vectors[words + row, column]
    return count
