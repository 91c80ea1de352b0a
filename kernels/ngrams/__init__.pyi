from .minhash import bands, coefficients, jaccard_index, shingle_hashes, signatures, unique_shingles
from .ngram_bounds import ngram_bounds
from .ngram_index import NgramIndex
from .ngrams import Ngrams, WordCounts, count_words
from .overlap import OverlapIndex, Shingles, distinct, shingles

VERSION: int

__all__ = [
    "VERSION",
    "NgramIndex",
    "Ngrams",
    "OverlapIndex",
    "Shingles",
    "WordCounts",
    "bands",
    "coefficients",
    "count_words",
    "distinct",
    "jaccard_index",
    "ngram_bounds",
    "shingle_hashes",
    "shingles",
    "signatures",
    "unique_shingles",
]
