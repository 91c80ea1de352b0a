"""MinHash over word n-grams: shingle hashes, signatures, bands and the Jaccard index.

The numbers are those of datatrove's default configuration, which the MinHash recipe of FineWeb
builds on: 64-bit xxHash of word n-grams joined by one space, permutations
``(shingle * a + b) mod 2^64 mod (2^61 - 1)``. MinHash and banding: Broder 1997; Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from kernels.hashing import Hashes, xxh64, xxh64_rows
from kernels.utf8 import Bytes, Offsets
from kernels.words import Words

MERSENNE = np.uint64((1 << 61) - 1)
_MERSENNE_BITS = np.uint64(61)
_BLOCK = 2_048  # shingles, 16 KB: half of a first-level cache


def coefficients(seed: int, count: int) -> tuple[Hashes, Hashes]:
    """The permutations' ``a`` and ``b`` [count], drawn as datatrove draws them from ``seed``."""
    generator = np.random.RandomState(seed)
    a = generator.randint(1, MERSENNE, dtype=np.uint64, size=count)
    b = generator.randint(0, MERSENNE, dtype=np.uint64, size=count)
    return a, b


def shingle_hashes(words: Words, ngram: int) -> tuple[Hashes, Offsets]:
    """xxHash64 of every word n-gram, words joined by one space, in text order.

    Document i has ``values[starts[i]:starts[i + 1]]``: none when it has fewer than ``ngram`` words.
    """
    counts = np.maximum(np.diff(words.starts) - (ngram - 1), 0)
    starts = np.concatenate(([0], np.cumsum(counts)))
    values = np.empty(starts[-1], np.uint64)
    table = words.table
    _shingle_hashes(words.ids, words.starts, table.data, table.offsets, ngram, starts, values)
    return values, starts


def unique_shingles(values: Hashes, starts: Offsets) -> tuple[Hashes, Offsets]:
    """Every document's set of shingles: sorted, each once. Shapes as for shingle_hashes."""
    unique = values.copy()
    for row in range(len(starts) - 1):
        unique[starts[row] : starts[row + 1]].sort()  # NumPy's vectorised sort
    ends = np.zeros_like(starts)
    _drop_repeated(unique, starts, ends)
    return unique[: ends[-1]], ends


def signatures(values: Hashes, starts: Offsets, a: Hashes, b: Hashes) -> Hashes:
    """MinHash signatures [documents, len(a)]: the least permuted shingle per permutation.

    A document without shingles has 2^64 - 1 everywhere, which no other can have.
    """
    out = np.full((len(starts) - 1, len(a)), np.iinfo(np.uint64).max, np.uint64)
    _signatures(values, starts, a, b, out)
    return out


def bands(signature: Hashes, count: int) -> Hashes:
    """One hash [documents, count] per band of ``signature`` [documents, count * rows].

    Documents with equal bands have equal hashes; others do with a probability of 2^-64.
    """
    documents, length = signature.shape
    width = length // count * signature.itemsize
    data = np.ascontiguousarray(signature, "<u8").view(np.uint8).reshape(-1)
    ends = np.arange(documents * count + 1, dtype=np.int64) * width
    return xxh64_rows(data, ends).reshape(documents, count)


@numba.njit(cache=True, nogil=True)
def jaccard_index(one: Hashes, other: Hashes) -> float:
    """Jaccard index of two sets, sorted and each element once; 0 when both are empty."""
    i = j = common = 0
    while i < len(one) and j < len(other):
        left, right = one[i], other[j]
        common += left == right
        i += left <= right
        j += right <= left
    union = len(one) + len(other) - common
    return common / union if union else 0.0


@numba.njit(cache=True, nogil=True)
def _shingle_hashes(
    ids: npt.NDArray[np.int32],
    starts: Offsets,
    data: Bytes,
    offsets: Offsets,
    ngram: int,
    shingle_starts: Offsets,
    values: Hashes,
) -> None:
    longest = 0
    for row in range(len(starts) - 1):
        size = 0
        for i in range(starts[row], starts[row + 1]):
            size += offsets[ids[i] + 1] - offsets[ids[i]] + 1
        longest = max(longest, size)
    joined = np.empty(longest, np.uint8)
    begins = np.empty(len(ids) + 1, np.int64)
    for row in range(len(starts) - 1):
        end = 0
        count = starts[row + 1] - starts[row]
        for i in range(count):
            token = ids[starts[row] + i]
            begins[i] = end
            for at in range(offsets[token], offsets[token + 1]):
                joined[end] = data[at]
                end += 1
            joined[end] = 0x20
            end += 1
        begins[count] = end
        for i in range(shingle_starts[row + 1] - shingle_starts[row]):
            stop = begins[i + ngram] - 1  # without the last space
            values[shingle_starts[row] + i] = xxh64(joined, begins[i], stop, np.uint64(0))


@numba.njit(cache=True, nogil=True)
def _drop_repeated(values: Hashes, starts: Offsets, ends: Offsets) -> None:
    """Move the distinct values of every sorted group to the front of it all."""
    end = 0
    for row in range(len(starts) - 1):
        first = end
        for i in range(starts[row], starts[row + 1]):
            if end == first or values[i] != values[end - 1]:
                values[end] = values[i]
                end += 1
        ends[row + 1] = end


@numba.njit(cache=True, nogil=True)
def _signatures(values: Hashes, starts: Offsets, a: Hashes, b: Hashes, out: Hashes) -> None:
    for row in range(len(starts) - 1):
        # A block of shingles stays in the fastest cache while all permutations pass over it, each
        # a reduction that the compiler turns into vector instructions.
        for begin in range(starts[row], starts[row + 1], _BLOCK):
            block = values[begin : min(begin + _BLOCK, starts[row + 1])]
            for k in range(len(a)):
                out[row, k] = min(out[row, k], _least(block, a[k], b[k]))


@numba.njit(cache=True, nogil=True)
def _least(shingles: Hashes, a: np.uint64, b: np.uint64) -> np.uint64:
    least = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(len(shingles)):
        product = shingles[i] * a + b
        # 2^61 is congruent to 1, so this is at most 2^61 + 6; where the subtraction below is one
        # too many, it wraps around to something larger.
        residue = (product & MERSENNE) + (product >> _MERSENNE_BITS)
        least = min(least, min(residue, residue - MERSENNE))
    return least
