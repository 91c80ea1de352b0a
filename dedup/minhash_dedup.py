"""Drop documents that nearly repeat an earlier one: MinHash candidates, verified."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

import kernels.hashing
import kernels.ngrams
import kernels.text
import kernels.words
from dedup.greedy_clusters import greedy_clusters, largest_cluster, shared_groups
from dedup.removals import Corpus, apply_removals, write_removals
from winnow import (
    Docs,
    FilterResult,
    GlobalStep,
    Position,
    ReduceInput,
    ReportSection,
    read_documents,
)

# A document is compared with at most this many survivors of each of its buckets. Real
# near-duplicates share a bucket with few survivors (most often one); documents that share only a
# bucket, such as forms and licences, are many.
MAX_COMPARED = 256
# A larger share of documents that cannot be compared is warned about.
UNCOMPARED = 0.1


class MinhashDedup(GlobalStep):
    """Drop documents whose word n-grams are mostly those of an earlier document.

    Candidates are documents with an equal bucket (``rows`` MinHash values), as in datatrove and
    FineWeb: of two documents with Jaccard index s, it is found with probability
    ``1 - (1 - s^rows)^buckets``, 0.924 at s = 0.8 by default. For this all numbers are one word;
    words are in lower case, without punctuation and accents. Every candidate is then verified by
    the Jaccard index of the two sets of n-grams themselves (64-bit hashes of them), in which
    numbers keep their digits: forms that differ in numbers alone are not copies. With
    ``numbers: ignore`` all numbers are one word there too, as in datatrove, whose candidates are
    all duplicates.

    Where a script has no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
    Tibetan), each character is a word. The first in input order stays. A document goes only if it
    is itself similar to one that stays; similarity is not passed on from document to document. One
    with fewer than ``ngram`` words has nothing to compare and stays; how many there are is
    reported. Per bucket, at most 256 survivors are compared; what that leaves out is counted as
    ``skipped``.

    Memory while reducing: about 200 bytes per document, most of it for documents that share a
    bucket; the n-grams of those (8 bytes each) lie in an unnamed temporary file.
    """

    kernels: ClassVar[tuple[str, ...]] = ("ngrams", "text", "words")
    map_parameters: ClassVar[frozenset[str] | None] = frozenset(
        {"ngram", "buckets", "rows", "seed", "language", "numbers"}
    )

    ngram: int = Field(5, ge=1, le=64, description="words per shingle")
    buckets: int = Field(14, ge=1, le=256, description="buckets; one in common makes candidates")
    rows: int = Field(8, ge=1, le=64, description="MinHash values per bucket")
    jaccard: float = Field(
        0.8, gt=0, le=1, description="least Jaccard index of the shingle sets of two duplicates"
    )
    seed: int = Field(1, ge=0, lt=2**32, description="of the MinHash permutations")
    language: Literal["en"] = Field(
        "en", description="whose tokenizer finds the words of scripts with spaces"
    )
    numbers: Literal["compare", "ignore"] = Field(
        "compare",
        description="whether documents whose numbers differ have different n-grams when they are "
        "verified; `ignore` takes all numbers for one word, as datatrove does",
    )

    def map(self, docs: Docs) -> pa.RecordBatch:
        """Columns ``bucket_000``... (uint64, null without n-grams), ``words`` (uint64, a hash of
        the text without its numbers) and ``shingles`` to verify by, sorted."""
        return self._map_texts(docs.text)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Returns counts: ``candidates`` are documents that share a bucket with another one,
        ``compared`` pairs of them whose Jaccard index was computed, ``skipped`` pairs that the cap
        left out, ``dropped`` documents (one verified pair each), ``differ_in_numbers`` pairs that
        were compared and that differ in numbers alone, and of how many one was dropped."""
        import pyarrow.compute as pc

        corpus = Corpus.of(reduce_input)
        groups = np.empty((self.buckets, len(corpus)), np.int32)
        for bucket in range(self.buckets):
            keys = corpus.mapped(_bucket(bucket))
            signed = keys.is_valid().to_numpy()
            groups[bucket] = shared_groups(pc.fill_null(keys, 0).to_numpy(), signed)
        candidates = np.asarray((groups >= 0).any(axis=0))
        words = corpus.mapped("words").to_numpy()
        numbers_alone = dropped_of_these = 0
        with tempfile.TemporaryFile(dir=folder) as file:
            values, starts = _shingles(corpus, candidates, file)

            def similar(one: int, other: int) -> float:
                nonlocal numbers_alone, dropped_of_these
                left = values[starts[one] : starts[one + 1]]
                right = values[starts[other] : starts[other + 1]]
                index = float(kernels.ngrams.jaccard_index(left, right))
                if index < 1 and words[one] == words[other]:
                    numbers_alone += 1
                    dropped_of_these += index >= self.jaccard
                return index

            found = greedy_clusters(groups, similar, self.jaccard, MAX_COMPARED)
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
            "warnings": list(self._warnings(len(corpus), without)),
        }

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        return apply_removals(docs, artifacts, at, "near_duplicate", ["duplicate_of", "jaccard"])

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from dedup.dedup_report import near_duplicate_sections

        return near_duplicate_sections(label, self.ngram, self.jaccard, metrics)

    def _warnings(self, documents: int, without: int) -> Iterator[str]:
        if without > UNCOMPARED * documents:
            yield (
                f"{without:,} of {documents:,} documents have fewer than {self.ngram} words "
                "and were compared with none"
            )

    def _map_texts(self, text: pa.LargeStringArray) -> pa.RecordBatch:
        normalised = kernels.text.normalise(text)
        values, starts = self._shingles(normalised)
        a, b = kernels.ngrams.coefficients(self.seed, self.buckets * self.rows)
        keys = kernels.ngrams.bands(kernels.ngrams.signatures(values, starts, a, b), self.buckets)
        unsigned = np.diff(starts) == 0
        columns: dict[str, pa.Array] = {
            _bucket(bucket): pa.array(keys[:, bucket], mask=unsigned)
            for bucket in range(self.buckets)
        }
        columns["words"] = pa.array(
            kernels.hashing.xxh64_rows(*kernels.text.text_buffers(normalised))
        )
        shingles = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))
        if self.numbers == "compare":
            shingles = self._with_digits(text, normalised, shingles)
        columns["shingles"] = shingles
        return pa.record_batch(columns)

    def _with_digits(
        self, text: pa.LargeStringArray, normalised: pa.LargeStringArray, shingles: pa.Array
    ) -> pa.Array:
        """``shingles`` [rows], made anew with their digits for texts that have any."""
        import pyarrow.compute as pc

        numbered = pc.match_substring(normalised, "0")
        rows = np.flatnonzero(numbered.to_numpy(zero_copy_only=False))
        if not len(rows):
            return shingles
        values, starts = self._shingles(
            kernels.text.normalise(text.filter(numbered), keep_digits=True)
        )
        found = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))
        places = np.arange(len(text))
        places[rows] = len(text) + np.arange(len(rows))
        return pa.concat_arrays([shingles, found]).take(pa.array(places))

    def _shingles(
        self, normalised: pa.LargeStringArray
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """The set of word n-grams of each row, as ``unique_shingles`` gives them."""
        words = kernels.words.english_words(kernels.text.separate_unspaced(normalised))
        return kernels.ngrams.unique_shingles(*kernels.ngrams.shingle_hashes(words, self.ngram))


def _bucket(number: int) -> str:
    return f"bucket_{number:03d}"


def _shingles(
    corpus: Corpus, wanted: npt.NDArray[np.bool_], file: BinaryIO
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The shingle sets of the ``wanted`` documents, mapped from ``file``; empty for the others.

    Document i has ``values[starts[i]:starts[i + 1]]``.
    """
    import pyarrow.compute as pc

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
