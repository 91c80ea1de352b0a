"""Drop documents that nearly repeat an earlier one: MinHash candidates, verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from winnow import Docs, FilterResult, GlobalStep, Position, ReduceInput, ReportSection

if TYPE_CHECKING:
    import pyarrow as pa


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
    bucket, whose texts are read again; the n-grams of those (8 bytes each) lie in an unnamed
    temporary file.
    """

    version: ClassVar[int] = 2
    kernels: ClassVar[tuple[str, ...]] = ("hashing", "ngrams", "text", "words")
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
        """Columns of uint64: ``bucket_000``... (null without n-grams), ``words`` (a hash of the
        words, in which all numbers are one) and ``compared`` (of the words as verified)."""
        from dedup.near_duplicates import map_texts

        return map_texts(self, docs.text)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Returns counts: ``candidates`` are documents that share a bucket with another one,
        ``compared`` pairs of them whose Jaccard index was computed, ``skipped`` pairs that the cap
        left out, ``dropped`` documents (one verified pair each), ``differ_in_numbers`` pairs that
        were compared and that differ in numbers alone, and of how many one was dropped."""
        from dedup.near_duplicates import find_near_duplicates

        return find_near_duplicates(self, reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from dedup.removals import apply_removals

        return apply_removals(docs, artifacts, at, "near_duplicate", ["duplicate_of", "jaccard"])

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from dedup.dedup_report import near_duplicate_sections

        return near_duplicate_sections(label, self.ngram, self.jaccard, metrics)
