"""How the step `minhash_dedup` finds candidates and verifies them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
from winnow import ReduceInput

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
    columns["words"] = _hashes(normalised)
    columns["compared"] = columns["words"]
    if step.numbers == "compare":
        columns["compared"] = _hashes(kernels.text.normalise(text, keep_digits=True))
    return pa.record_batch(columns)


def _hashes(normalised: pa.LargeStringArray) -> pa.UInt64Array:
    return pa.array(kernels.hashing.xxh64_rows(*kernels.text.text_buffers(normalised)))


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
    words, compared = (corpus.mapped(name).to_numpy() for name in ("words", "compared"))
    numbers_alone = dropped_of_these = 0
    with tempfile.TemporaryFile(dir=folder) as file:
        sets = _shingle_sets(step, corpus, candidates, compared, file)

        def similar(one: int, other: int) -> float:
            nonlocal numbers_alone, dropped_of_these
            if compared[one] == compared[other]:
                return 1.0
            index = float(kernels.ngrams.jaccard_index(sets.of(one), sets.of(other)))
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


@dataclass(frozen=True)
class _ShingleSets:
    """Shingles of some documents: of document i, ``values[starts[n]:starts[n + 1]]`` with
    ``n = numbers[i]``, sorted."""

    values: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]

    def of(self, document: int) -> npt.NDArray[np.uint64]:
        number = self.numbers[document]
        return self.values[self.starts[number] : self.starts[number + 1]]


def _shingle_sets(
    step: MinhashDedup,
    corpus: Corpus,
    wanted: npt.NDArray[np.bool_],
    compared: npt.NDArray[np.uint64],
    file: BinaryIO,
) -> _ShingleSets:
    """Those of the ``wanted`` documents, from their texts, mapped from ``file``.

    Few documents are candidates, so their texts are read again instead of writing the shingles of
    all. Of documents with the same hash ``compared`` of their words one is read.
    """
    documents = np.flatnonzero(wanted)
    _, firsts, numbers = np.unique(compared[documents], return_index=True, return_inverse=True)
    # In input order, as they are read.
    order = np.argsort(firsts)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    of_document = np.full(len(corpus), -1, np.int64)
    of_document[documents] = places[numbers]
    counts = [np.zeros(0, np.int64)]
    for text in corpus.texts(documents[firsts[order]]):
        keep_digits = step.numbers == "compare"
        values, starts = _shingles(step, kernels.text.normalise(text, keep_digits=keep_digits))
        file.write(values.data)
        counts.append(np.diff(starts))
    file.flush()
    ends = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    empty = np.empty(0, np.uint64)
    every = empty if ends[-1] == 0 else np.asarray(np.memmap(file, np.uint64, "r"))
    return _ShingleSets(every, ends, of_document)
