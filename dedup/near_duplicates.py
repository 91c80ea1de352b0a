"""How the step `minhash_dedup` finds candidates and verifies them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import kernels.hashing
import kernels.ngrams
import kernels.text
import kernels.words
from dedup.greedy_clusters import greedy_clusters, largest_cluster, shared_groups
from dedup.removals import Corpus, write_removals
from winnow import ReduceInput, read_documents

if TYPE_CHECKING:
    from dedup.minhash_dedup import MinhashDedup

# A document is compared with at most this many survivors of each of its buckets. Real
# near-duplicates share a bucket with few survivors (most often one); documents that share only a
# bucket, such as forms and licences, are many.
MAX_COMPARED = 256
# A larger share of documents that cannot be compared is warned about.
UNCOMPARED = 0.1


def map_texts(step: MinhashDedup, text: pa.LargeStringArray) -> pa.RecordBatch:
    """What ``MinhashDedup.map`` gives for ``text`` [rows]."""
    normalised = kernels.text.normalise(text)
    values, starts = _shingles(step, normalised)
    a, b = kernels.ngrams.coefficients(step.seed, step.buckets * step.rows)
    keys = kernels.ngrams.bands(kernels.ngrams.signatures(values, starts, a, b), step.buckets)
    unsigned = np.diff(starts) == 0
    columns: dict[str, pa.Array] = {
        _bucket(bucket): pa.array(keys[:, bucket], mask=unsigned) for bucket in range(step.buckets)
    }
    columns["words"] = pa.array(kernels.hashing.xxh64_rows(*kernels.text.text_buffers(normalised)))
    shingles = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))
    if step.numbers == "compare":
        shingles = _with_digits(step, text, normalised, shingles)
    columns["shingles"] = shingles
    return pa.record_batch(columns)


def _with_digits(
    step: MinhashDedup,
    text: pa.LargeStringArray,
    normalised: pa.LargeStringArray,
    shingles: pa.Array,
) -> pa.Array:
    """``shingles`` [rows], made anew with their digits for texts that have any."""
    numbered = pc.match_substring(normalised, "0")
    rows = np.flatnonzero(numbered.to_numpy(zero_copy_only=False))
    if not len(rows):
        return shingles
    values, starts = _shingles(
        step, kernels.text.normalise(text.filter(numbered), keep_digits=True)
    )
    found = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))
    places = np.arange(len(text))
    places[rows] = len(text) + np.arange(len(rows))
    return pa.concat_arrays([shingles, found]).take(pa.array(places))


def _shingles(
    step: MinhashDedup, normalised: pa.LargeStringArray
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The set of word n-grams of each row, as ``unique_shingles`` gives them."""
    words = kernels.words.english_words(kernels.text.separate_unspaced(normalised))
    return kernels.ngrams.unique_shingles(*kernels.ngrams.shingle_hashes(words, step.ngram))


def find_near_duplicates(
    step: MinhashDedup, reduce_input: ReduceInput, folder: Path
) -> dict[str, Any]:
    """What ``MinhashDedup.reduce`` returns; the documents that go are written into ``folder``."""
    corpus = Corpus.of(reduce_input)
    groups = np.empty((step.buckets, len(corpus)), np.int32)
    for bucket in range(step.buckets):
        keys = corpus.mapped(_bucket(bucket))
        signed = keys.is_valid().to_numpy()
        groups[bucket] = shared_groups(pc.fill_null(keys, 0).to_numpy(), signed)
    candidates = np.asarray((groups >= 0).any(axis=0))
    words = corpus.mapped("words").to_numpy()
    numbers_alone = dropped_of_these = 0
    with tempfile.TemporaryFile(dir=folder) as file:
        values, starts = _read_shingles(corpus, candidates, file)

        def similar(one: int, other: int) -> float:
            nonlocal numbers_alone, dropped_of_these
            left = values[starts[one] : starts[one + 1]]
            right = values[starts[other] : starts[other + 1]]
            index = float(kernels.ngrams.jaccard_index(left, right))
            if index < 1 and words[one] == words[other]:
                numbers_alone += 1
                dropped_of_these += index >= step.jaccard
            return index

        found = greedy_clusters(groups, similar, step.jaccard, MAX_COMPARED)
    write_removals(folder, corpus, found.dropped, found.survivors, found.similarity)
    without = len(corpus) - int(signed.sum())
    return {
        "documents": len(corpus),
        "without_shingles": without,
        "candidates": int(candidates.sum()),
        "compared": found.compared,
        "skipped": found.skipped,
        "differ_in_numbers": {"compared": numbers_alone, "dropped": dropped_of_these},
        "dropped": len(found.dropped),
        "largest_cluster": largest_cluster(found.survivors),
        "warnings": list(_warnings(step, len(corpus), without)),
    }


def _warnings(step: MinhashDedup, documents: int, without: int) -> Iterator[str]:
    if without > UNCOMPARED * documents:
        yield (
            f"{without:,} of {documents:,} documents have fewer than {step.ngram} words "
            "and were compared with none"
        )


def _bucket(number: int) -> str:
    return f"bucket_{number:03d}"


def _read_shingles(
    corpus: Corpus, wanted: npt.NDArray[np.bool_], file: BinaryIO
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The shingle sets of the ``wanted`` documents, mapped from ``file``; empty for the others.

    Document i has ``values[starts[i]:starts[i + 1]]``.
    """
    counts = np.zeros(len(corpus), np.int64)
    at = 0
    for path in corpus.reduce_input.mapped:
        for batch in read_documents(path, ["shingles"]):
            rows = wanted[at : at + len(batch)]
            sets = batch.column(0).filter(pa.array(rows))
            counts[at : at + len(batch)][rows] = pc.list_value_length(sets).to_numpy()
            file.write(sets.flatten().to_numpy())
            at += len(batch)
    file.flush()
    starts = np.concatenate([[0], np.cumsum(counts)])
    if starts[-1] == 0:
        return np.empty(0, np.uint64), starts
    return np.asarray(np.memmap(file, np.uint64, "r")), starts
