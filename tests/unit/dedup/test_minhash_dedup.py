from __future__ import annotations

from typing import Any

import pytest
from datatrove.utils.text import simplify_text
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dedup.minhash_dedup import MinhashDedup

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re") for b in ("b", "d", "f", "g", "k")]
BASES = [[WORDS[(start + i * i) % len(WORDS)] for i in range(60)] for start in range(3)]
STEP = MinhashDedup()


def edited(base: int, cut: int, places: list[int]) -> str:
    """A text of words, shortened and with some words replaced: near or not so near its base."""
    words = BASES[base][: len(BASES[base]) - cut]
    for place in places:
        words[place % len(words)] = "changed"
    return " ".join(words)


VARIANTS = st.builds(
    edited, st.integers(0, 2), st.integers(0, 20), st.lists(st.integers(0, 59), max_size=3)
)
ROWS = st.lists(VARIANTS, max_size=14).map(
    lambda texts: [(str(row), text) for row, text in enumerate(texts)]
)


def shingles(text: str, ngram: int = 5) -> set[tuple[str, ...]]:
    words = simplify_text(text).split()
    return {tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)}


def similarity(one: str, other: str) -> float:
    left, right = shingles(one), shingles(other)
    return len(left & right) / len(left | right)


@given(ROWS, st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=60, deadline=None)
def test_clusters_are_greedy_around_earlier_survivors(
    run_step: Any, rows: list[tuple[str, str]], threshold: float
) -> None:
    ran = run_step(MinhashDedup(jaccard=threshold), [rows])
    texts = dict(rows)
    assert sorted([*ran.kept, *ran.dropped], key=int) == list(texts)
    for key, said in ran.dropped.items():
        survivor = said["duplicate_of"]
        assert survivor in ran.kept
        assert int(survivor) < int(key)
        assert said["jaccard"] == pytest.approx(similarity(texts[survivor], texts[key]))
        assert said["jaccard"] >= threshold


@given(ROWS)
@settings(max_examples=25, deadline=None)
def test_no_equal_texts_stay_and_a_second_pass_drops_nothing(
    run_step: Any, rows: list[tuple[str, str]]
) -> None:
    ran = run_step(STEP, [rows])
    left = [row for row in rows if row[0] in ran.kept]
    assert len({text for _, text in left}) == len(left)
    assert run_step(STEP, [left]).dropped == {}


@given(ROWS, st.integers(0, 14), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_where_shards_and_batches_are_cut_does_not_matter(
    run_step: Any, rows: list[tuple[str, str]], cut: int, batch: int
) -> None:
    whole, parts = run_step(STEP, [rows]), run_step(STEP, [rows[:cut], rows[cut:]], batch)
    assert (whole.kept, whole.dropped, whole.metrics) == (parts.kept, parts.dropped, parts.metrics)


def test_case_punctuation_numbers_and_accents_do_not_tell_texts_apart(run_step: Any) -> None:
    ran = run_step(
        STEP,
        [
            [("a", "The café sold 12 cakes, 3.5 pies and nothing else.")],
            [("b", "the CAFE sold 7 cakes -- 100 pies; and nothing else")],
        ],
    )
    assert ran.dropped == {"b": {"reason": "near_duplicate", "duplicate_of": "a", "jaccard": 1.0}}
    assert ran.metrics["candidates"] == 2
    assert ran.metrics["largest_cluster"] == 2


def test_similarity_is_not_transitive(run_step: Any) -> None:
    words = [f"{a}{b}word" for a in "bdfgklmnpr" for b in "aeiouvwz"]
    first, middle, last = " ".join(words[:70]), " ".join(words[5:75]), " ".join(words[10:80])
    assert similarity(first, middle) > 0.8 < similarity(middle, last)
    assert similarity(first, last) < 0.8
    ran = run_step(STEP, [[("first", first), ("middle", middle), ("last", last)]])
    assert ran.kept == ["first", "last"]
    assert ran.dropped["middle"]["duplicate_of"] == "first"


def test_texts_too_short_for_an_ngram_stay(run_step: Any) -> None:
    rows = [(str(i), text) for i, text in enumerate(["", "", "one two three four", "one two"] * 2)]
    ran = run_step(STEP, [rows])
    assert ran.dropped == {}
    assert (ran.metrics["documents"], ran.metrics["without_shingles"]) == (8, 8)
    assert run_step(MinhashDedup(ngram=4), [rows]).dropped.keys() == {"6"}


def test_the_threshold_alone_decides_among_candidates(run_step: Any) -> None:
    one, other = edited(0, 0, []), edited(0, 0, [30])
    exact = similarity(one, other)
    rows = [("a", one), ("b", other)]
    for threshold, drops in ((exact, 1), (exact + 1e-6, 0)):
        ran = run_step(MinhashDedup(jaccard=threshold, rows=1, buckets=30), [rows])
        assert (ran.metrics["compared"], ran.metrics["dropped"]) == (1, drops)


def test_the_threshold_does_not_change_what_is_observed() -> None:
    fields = set(MinhashDedup.model_fields)
    assert MinhashDedup.map_parameters == fields - {"jaccard"}


def test_findings_are_equal_bytes_and_nothing_else_is_left(run_step: Any) -> None:
    rows = [(str(i), edited(i % 3, i % 2, [])) for i in range(9)]
    one, other = run_step(STEP, [rows, []]), run_step(STEP, [rows, []], batch=2)
    assert one.files == other.files
    assert sorted(one.files) == ["000000.parquet", "000001.parquet"]


def test_no_documents_at_all(run_step: Any) -> None:
    for shards in ([], [[]]):
        assert set(run_step(STEP, shards).metrics.values()) == {0}


@pytest.mark.parametrize(
    "wrong",
    [{"jaccard": 0}, {"jaccard": 1.01}, {"ngram": 0}, {"rows": 0}, {"seed": -1}, {"language": "x"}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MinhashDedup(**wrong)
