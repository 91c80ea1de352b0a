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

from kernels.hashing.hashing import Hashes, xxh64_rows
from kernels.hashing.short_hashes import PADDING, xxh64_ranges
from kernels.text.utf8 import Bytes, Offsets
from kernels.text.wide import load64, prefer_wide_vectors, store64
from kernels.words.words import Words

MERSENNE = np.uint64((1 << 61) - 1)
_MERSENNE_BITS = np.uint64(61)
# Added to every product, so that one next to a multiple of the modulus shows as a small residue.
_ABOVE = np.uint64(8)


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
    _signatures(values, starts, a, b, b + _ABOVE, out)
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
    longest = most = 0
    for row in range(len(starts) - 1):
        size = 0
        for i in range(starts[row], starts[row + 1]):
            size += offsets[ids[i] + 1] - offsets[ids[i]] + 1
        longest = max(longest, size)
        most = max(most, starts[row + 1] - starts[row])
    joined = np.empty(longest + PADDING, np.uint8)
    begins = np.empty(most + 1, np.int64)
    ends = np.empty(most + 1, np.int64)
    for row in range(len(starts) - 1):
        count = shingle_starts[row + 1] - shingle_starts[row]
        if count > 0:
            _join(ids[starts[row] : starts[row + 1]], data, offsets, joined, begins)
            for i in range(count):
                ends[i] = begins[i + ngram] - 1  # without the last space
            own = values[shingle_starts[row] : shingle_starts[row + 1]]
            xxh64_ranges(joined, begins, ends, own)


@numba.njit(cache=True, nogil=True)
def _join(
    ids: npt.NDArray[np.int32], data: Bytes, offsets: Offsets, joined: Bytes, begins: Offsets
) -> None:
    """Writes the words, a space after each, and where they begin."""
    end = np.int64(0)
    for i in range(len(ids)):
        begins[i] = end
        start, stop = offsets[ids[i]], offsets[ids[i] + 1]
        if start + 16 <= len(data) and stop - start <= 16:
            # Bytes beyond the word are overwritten by the next, or never looked at.
            store64(joined, end, load64(data, start))
            store64(joined, end + 8, load64(data, start + 8))
        else:
            for at in range(start, stop):
                joined[end + at - start] = data[at]
        end += stop - start
        joined[end] = 0x20
        end += 1
    begins[len(ids)] = end


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
def _signatures(
    values: Hashes, starts: Offsets, a: Hashes, b: Hashes, raised: Hashes, out: Hashes
) -> None:
    """``raised`` is ``b`` plus _ABOVE."""
    for row in range(len(starts) - 1):
        if starts[row] < starts[row + 1]:
            own = values[starts[row] : starts[row + 1]]
            _raised_minima(own, a, raised, out[row])
            for k in range(len(a)):
                if out[row, k] < np.uint64(2) * _ABOVE:
                    out[row, k] = _least(own, a[k], b[k])
                else:
                    out[row, k] -= _ABOVE


@numba.njit(cache=True, nogil=True)
def _raised_minima(shingles: Hashes, a: Hashes, raised: Hashes, least: Hashes) -> None:
    """Lowers ``least`` [permutations] to _ABOVE more than the least permuted shingle.

    Not to be relied on below 2 * _ABOVE, which takes in all that is within _ABOVE of a multiple
    of 2^61 - 1: their residues are off, or wrapped around to something small.
    """
    prefer_wide_vectors()
    last = len(shingles) - 1
    for i in range(0, last + 1, 4):  # past the end, the last again
        one, two = shingles[i], shingles[min(i + 1, last)]
        three, four = shingles[min(i + 2, last)], shingles[min(i + 3, last)]
        for k in range(len(a)):
            left = min(_folded(one, a[k], raised[k]), _folded(two, a[k], raised[k]))
            right = min(_folded(three, a[k], raised[k]), _folded(four, a[k], raised[k]))
            least[k] = min(least[k], min(left, right))


@numba.njit(cache=True, inline="always")
def _folded(shingle: np.uint64, a: np.uint64, b: np.uint64) -> np.uint64:
    """2^61 is congruent to 1: the residue, but where high and low bits add up to 2^61 - 1."""
    product = shingle * a + b
    return np.uint64((product + (product >> _MERSENNE_BITS)) & MERSENNE)


@numba.njit(cache=True, nogil=True)
def _least(shingles: Hashes, a: np.uint64, b: np.uint64) -> np.uint64:
    least = MERSENNE
    for shingle in shingles:
        least = min(least, (shingle * a + b) % MERSENNE)
    return least
