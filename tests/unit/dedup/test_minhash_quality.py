"""What MinHash dedup finds and misses in real text, against sets of n-grams in plain Python.

The sets come from datatrove's own normalisation and tokenizer, not from our kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from datatrove.utils.text import ngrams, simplify_text
from datatrove.utils.word_tokenizers import load_word_tokenizer

from dedup.minhash_dedup import MinhashDedup

Shingles = frozenset[tuple[str, ...]]


def read(path: Path) -> dict[str, str]:
    lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
    return {record["id"]: record["text"] for record in map(orjson.loads, lines)}


def shingles(text: str) -> Shingles:
    words = load_word_tokenizer("en").word_tokenize(simplify_text(text))
    return frozenset(ngrams(words, 5))


def jaccard(one: Shingles, other: Shingles) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def likely_pairs(sets: dict[str, Shingles], least: float) -> Iterator[tuple[str, str, float]]:
    """All pairs with a Jaccard index of at least ``least``, earlier document first."""
    keys = list(sets)
    sizes = np.array([len(sets[key]) for key in keys])
    for i, key in enumerate(keys):
        # The index is at most the ratio of the sizes.
        near = (np.minimum(sizes, sizes[i]) >= least * np.maximum(sizes, sizes[i])) & (sizes > 0)
        for j in (np.flatnonzero(near[i + 1 :]) + i + 1).tolist():
            similarity = jaccard(sets[key], sets[keys[j]])
            if similarity >= least:
                yield key, keys[j], similarity


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_planted_pairs_are_found_and_nothing_else(
    run_step: Any, shared_data: Path, threshold: float
) -> None:
    texts = read(shared_data / "truth" / "near-duplicates.jsonl.zst")
    lines = (shared_data / "truth" / "near-duplicates.pairs").read_text().splitlines()
    planted = {frozenset(line.split()) for line in lines if line}
    ran = run_step(MinhashDedup(jaccard=threshold), [list(texts.items())])
    found = {frozenset((key, said["duplicate_of"])) for key, said in ran.dropped.items()}
    precision = len(found & planted) / len(found)
    recall = len(found & planted) / len(planted)
    assert (precision, recall) == (1.0, 1.0)


@pytest.fixture(scope="module")
def library(shared_data: Path) -> dict[str, str]:
    """Shorter modules of two releases of the Python standard library."""
    texts = read(shared_data / "domains" / "code_python.jsonl.zst")
    return {key: text for key, text in texts.items() if 200 < len(text) < 6_000}


@pytest.fixture(scope="module")
def library_sets(library: dict[str, str]) -> dict[str, Shingles]:
    return {key: shingles(text) for key, text in library.items()}


@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_what_is_dropped_is_as_similar_as_it_says_and_what_is_missed_is_chance(
    run_step: Any, library: dict[str, str], library_sets: dict[str, Shingles], threshold: float
) -> None:
    step = MinhashDedup(jaccard=threshold, numbers="ignore")
    ran = run_step(step, [list(library.items())])
    assert len(ran.dropped) > 20
    for key, said in ran.dropped.items():
        similarity = jaccard(library_sets[said["duplicate_of"]], library_sets[key])
        assert said["jaccard"] == pytest.approx(similarity)
        assert similarity >= threshold

    pairs = list(likely_pairs(library_sets, threshold))
    missed = [pair for pair in pairs if ran.dropped.keys().isdisjoint(pair[:2])]
    # Of each pair the chance of being no candidates: (1 - s^8)^14.
    chances = np.array([(1 - similarity**8) ** 14 for *_, similarity in pairs])
    spread = np.sqrt((chances * (1 - chances)).sum())
    assert len(missed) <= chances.sum() + 4 * spread
    assert len(pairs) - len(missed) >= len(ran.dropped)


def test_candidates_are_as_probable_as_the_banding_formula_says(run_step: Any) -> None:
    # 400 pairs with 40 of 60 words alike at the front: 36 common of 76 n-grams, s = 0.474.
    generator = np.random.default_rng(0)
    letters = np.array(list("bcdfghjklmnpqrtvwxz"))
    words = ["".join(row) for row in generator.choice(letters, (400 * 80, 9))]
    rows = []
    for pair in range(400):
        mine = words[80 * pair : 80 * (pair + 1)]
        rows += [(f"{pair}a", " ".join(mine[:60])), (f"{pair}b", " ".join(mine[:40] + mine[60:]))]
    ran = run_step(MinhashDedup(jaccard=0.4, buckets=10, rows=3), [rows])
    expected = 1 - (1 - (36 / 76) ** 3) ** 10
    spread = np.sqrt(expected * (1 - expected) / 400)
    assert abs(len(ran.dropped) / 400 - expected) <= 4 * spread
    assert all(key.endswith("b") for key in ran.dropped)
