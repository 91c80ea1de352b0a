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


def test_case_punctuation_and_accents_make_no_difference(run_step: Any) -> None:
    rows = [
        ("a", "The café sold 12 cakes, 3.5 pies and nothing else."),
        ("b", "the CAFE sold 12 cakes -- 3.5 pies; and nothing else"),
    ]
    ran = run_step(STEP, [rows])
    assert ran.dropped == {"b": {"reason": "near_duplicate", "duplicate_of": "a", "jaccard": 1.0}}
    assert ran.metrics["candidates"] == 2
    assert ran.metrics["largest_cluster"] == 2


PRICES = [f"Lot {n}: a chair of oak at {n * 17}.50 euros, to be had in room {n}" for n in range(9)]


def test_documents_that_differ_in_numbers_alone_are_no_copies(run_step: Any) -> None:
    ran = run_step(STEP, [[(str(n), text) for n, text in enumerate([*PRICES, PRICES[3]])]])
    assert ran.dropped == {"9": {"reason": "near_duplicate", "duplicate_of": "3", "jaccard": 1.0}}
    # Each with all before it; the copy of 3 with the first three, then with its own.
    assert ran.metrics["differ_in_numbers"] == {"compared": 9 * 8 // 2 + 3, "dropped": 0}
    assert ran.metrics["candidates"] == 10


def test_numbers_are_ignored_on_request_as_in_datatrove(run_step: Any) -> None:
    rows = [(str(n), text) for n, text in enumerate(PRICES)]
    ran = run_step(MinhashDedup(numbers="ignore"), [rows])
    assert ran.kept == ["0"]
    assert {said["jaccard"] for said in ran.dropped.values()} == {1.0}


def test_a_long_document_with_another_number_is_still_a_copy(run_step: Any) -> None:
    text = edited(0, 0, []) + " page {} " + edited(1, 0, [])
    ran = run_step(STEP, [[("a", text.format(1)), ("b", text.format(2))]])
    assert 0.8 < ran.dropped["b"]["jaccard"] < 1
    assert ran.metrics["differ_in_numbers"] == {"compared": 1, "dropped": 1}


@given(st.lists(st.integers(0, 99), min_size=8, max_size=12), st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_digits_of_any_script_count(run_step: Any, numbers: list[int], other: int) -> None:
    words = [f"{WORDS[i]} {number}" for i, number in enumerate(numbers)]
    changed = [*words[:other], f"{WORDS[other]} {numbers[other] + 100}", *words[other + 1 :]]
    arabic = " ".join(words).translate({ord("0") + n: chr(0x660 + n) for n in range(10)})
    rows = [("a", " ".join(words)), ("b", " ".join(changed)), ("c", arabic)]
    ran = run_step(MinhashDedup(jaccard=1), [rows])
    assert ran.kept == ["a", "b"]
    assert ran.dropped["c"]["duplicate_of"] == "a"


SENTENCES = {
    "Chinese": "我们今天一起去公园散步天气非常好孩子们都很高兴然后我们回家做饭吃晚饭看电视最后睡觉",
    "Thai": "วันนี้อากาศดีมากเราจึงไปเดินเล่นที่สวนสาธารณะเด็กๆมีความสุขมากแล้วเราก็กลับบ้านทำอาหารเย็น",
    "Japanese": "これは長い日本語の文章です空は青く海は広い毎日散歩をして本を読み友達と話をします",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_copies_in_scripts_without_spaces_are_found(run_step: Any, language: str) -> None:
    text = SENTENCES[language]
    other = text[len(text) // 2 :] + text[: len(text) // 2 : -1]
    ran = run_step(STEP, [[("a", text), ("near", text + "。"), ("same", text), ("other", other)]])
    assert {key: said["duplicate_of"] for key, said in ran.dropped.items()} == {
        "near": "a",
        "same": "a",
    }
    assert ran.metrics["without_shingles"] == 0


def test_documents_that_could_not_be_compared_are_warned_about(run_step: Any) -> None:
    long = [(f"long {n}", edited(n, 0, [])) for n in range(3)]
    (warning,) = run_step(STEP, [[*long, ("short", "two words")]]).metrics["warnings"]
    assert warning == "1 of 4 documents have fewer than 5 words and were compared with none"
    assert run_step(STEP, [long]).metrics["warnings"] == []


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


def test_the_threshold_does_not_change_what_is_mapped() -> None:
    fields = set(MinhashDedup.model_fields)
    assert MinhashDedup.map_parameters == fields - {"jaccard"}


def test_artifacts_are_equal_bytes_and_nothing_else_is_left(run_step: Any) -> None:
    rows = [(str(i), edited(i % 3, i % 2, [])) for i in range(9)]
    one, other = run_step(STEP, [rows, []]), run_step(STEP, [rows, []], batch=2)
    assert one.files == other.files
    assert sorted(one.files) == ["000000.parquet", "000001.parquet"]


def test_no_documents_at_all(run_step: Any) -> None:
    for shards in ([], [[]]):
        metrics = run_step(STEP, shards).metrics
        assert (metrics["documents"], metrics["compared"], metrics["dropped"]) == (0, 0, 0)
        assert metrics["warnings"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"jaccard": 0},
        {"jaccard": 1.01},
        {"ngram": 0},
        {"rows": 0},
        {"seed": -1},
        {"language": "x"},
        {"numbers": 1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MinhashDedup(**wrong)
