from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import xxhash
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ngrams.minhash import (
    bands,
    coefficients,
    jaccard_index,
    shingle_hashes,
    signatures,
    unique_shingles,
)
from kernels.text.normalisation import normalise
from kernels.words.words import Words, english_words

SETS = st.sets(st.one_of(st.integers(0, 30), st.integers(2**64 - 5, 2**64 - 1)), max_size=30)
GROUPS = st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20), max_size=6)


def digest(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode())


def words_of(*texts: str) -> Words:
    return english_words(normalise(pa.array(texts, pa.large_string())))


def flat(groups: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for group in groups for value in group], np.uint64)
    return values, np.cumsum([0, *map(len, groups)])


def split(values: np.ndarray, starts: np.ndarray) -> list[list[int]]:
    return [values[i:j].tolist() for i, j in itertools.pairwise(starts)]


def test_the_vectors_of_the_recipe() -> None:
    a, b = coefficients(1, 112)
    assert (int(a[0]), int(b[0])) == (775169054918279404, 1062448801025099917)
    values, starts = shingle_hashes(words_of("One, two three; four FIVE six"), 5)
    assert int(values[0]) == 16779001585721188446
    assert int(signatures(values, starts, a, b)[0, 0]) == 699275049159941947


@pytest.mark.parametrize(("buckets", "rows", "seed", "ngram"), [(14, 8, 1, 5), (3, 5, 99, 2)])
def test_signatures_are_datatroves_on_real_text(
    shared_data: Any, tmp_path: Any, buckets: int, rows: int, seed: int, ngram: int
) -> None:
    config = MinhashConfig(n_grams=ngram, num_buckets=buckets, hashes_per_bucket=rows, seed=seed)
    reference = MinhashDedupSignature(str(tmp_path), config)
    # Its own passes str, which xxhash 4 no longer takes.
    reference._hash_func = digest
    texts = []
    for domain in ("medical", "wiki", "code_c"):
        path = shared_data / "domains" / f"{domain}.jsonl.zst"
        lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
        texts += [orjson.loads(line)["text"][:4_000] for line in lines[::100]]
    values, starts = shingle_hashes(words_of(*texts), ngram)
    found = signatures(values, starts, *coefficients(seed, buckets * rows))
    for i, text in enumerate(texts):
        shingles = reference.get_shingles(text)
        assert values[starts[i] : starts[i + 1]].tolist() == shingles.ravel().tolist()
        assert found[i].reshape(buckets, rows).tolist() == reference.get_signature(shingles)


def test_texts_shorter_than_an_ngram_have_no_shingles() -> None:
    words = words_of("", "a b", "a b c", "a b c d")
    values, starts = shingle_hashes(words, 3)
    expected = [[], [], ["a b c"], ["a b c", "b c d"]]
    assert split(values, starts) == [
        [digest(shingle) for shingle in shingles] for shingles in expected
    ]
    a, b = coefficients(1, 4)
    assert (signatures(values, starts, a, b)[:2] == 2**64 - 1).all()


def test_no_documents() -> None:
    values, starts = unique_shingles(*shingle_hashes(words_of(), 5))
    assert (values.tolist(), starts.tolist()) == ([], [0])
    found = signatures(values, starts, *coefficients(1, 6))
    assert found.shape == (0, 6)
    assert bands(found, 2).shape == (0, 2)


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "0", "é"]), max_size=9), max_size=5))
@settings(max_examples=50, deadline=None)
def test_shingles_are_hashes_of_joined_words(documents: list[list[str]]) -> None:
    words = english_words(pa.array([" ".join(words) for words in documents], pa.large_string()))
    expected = [
        [digest(" ".join(words[i : i + 2])) for i in range(len(words) - 1)] for words in documents
    ]
    assert split(*shingle_hashes(words, 2)) == expected


def test_shingles_of_any_length() -> None:
    documents = [
        ["word" * (i % 9 + 1) for i in range(60)],
        ["x" * 16, "x" * 17, "é" * 8, "a"],
        ["b" * 5_000, "c", "d"],
    ]
    words = english_words(pa.array([" ".join(words) for words in documents], pa.large_string()))
    assert split(*shingle_hashes(words, 3)) == [
        [digest(" ".join(words[i : i + 3])) for i in range(len(words) - 2)] for words in documents
    ]


@given(GROUPS)
@settings(deadline=None)
def test_unique_shingles_are_sorted_sets(groups: list[list[int]]) -> None:
    values, starts = flat(groups)
    assert split(*unique_shingles(values, starts)) == [sorted(set(group)) for group in groups]
    assert values.tolist() == [value for group in groups for value in group]


@given(GROUPS)
@settings(max_examples=50, deadline=None)
def test_signatures_follow_their_definition_and_ignore_order_and_repeats(
    groups: list[list[int]],
) -> None:
    a, b = coefficients(7, 5)
    expected = [
        [
            min(
                ((value * int(a[k]) + int(b[k])) % 2**64 % (2**61 - 1) for value in group),
                default=2**64 - 1,
            )
            for k in range(5)
        ]
        for group in groups
    ]
    assert signatures(*flat(groups), a, b).tolist() == expected
    shuffled = flat([group[::-1] + group[:3] for group in groups])
    assert signatures(*shuffled, a, b).tolist() == expected


@pytest.mark.parametrize("product", [0, 2**61 - 2, 2**61 - 1, 2**61, 7 * 2**61 - 7, 2**64 - 1])
@pytest.mark.parametrize("off", range(-17, 18))
def test_the_residue_is_exact_at_its_edges(product: int, off: int) -> None:
    product = (product + off) % 2**64
    one, zero = np.ones(1, np.uint64), np.zeros(1, np.uint64)
    found = signatures(*flat([[product]]), one, zero)
    assert found.tolist() == [[product % (2**61 - 1)]]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(-20, 20)), min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_a_product_next_to_a_multiple_of_the_modulus_does_not_hide_a_smaller_residue(
    near: list[tuple[int, int]],
) -> None:
    values = [(times * (2**61 - 1) + off) % 2**64 for times, off in near]
    one, zero = np.ones(1, np.uint64), np.zeros(1, np.uint64)
    expected = min(value % (2**61 - 1) for value in values)
    assert signatures(*flat([values]), one, zero).tolist() == [[expected]]


def test_signatures_of_long_documents() -> None:
    values = np.random.default_rng(0).integers(0, 2**64, 10_001, dtype=np.uint64)
    starts = np.array([0, 5_000, 10_001])
    a, b = coefficients(1, 3)
    products = (values[:, None] * a + b) % np.uint64(2**61 - 1)
    expected = [products[:5_000].min(axis=0).tolist(), products[5_000:].min(axis=0).tolist()]
    assert signatures(values, starts, a, b).tolist() == expected


def test_bands_agree_exactly_where_their_values_do() -> None:
    one = np.arange(12, dtype=np.uint64)
    signature = np.stack([one, one, one])
    signature[1, 5] += np.uint64(1)
    signature[2] = np.roll(one, 4)
    found = bands(signature, 3)
    assert found.shape == (3, 3)
    assert (found[0] == found[1]).tolist() == [True, False, True]
    assert found[2].tolist() == np.roll(found[0], 1).tolist()
    assert len(np.unique(found)) == 4


@given(SETS, SETS)
@settings(deadline=None)
def test_jaccard_is_that_of_sets(one: set[int], other: set[int]) -> None:
    found = jaccard_index(np.array(sorted(one), np.uint64), np.array(sorted(other), np.uint64))
    union = one | other
    assert found == (len(one & other) / len(union) if union else 0.0)
