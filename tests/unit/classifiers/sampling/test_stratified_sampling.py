"""Stratified samples: the same however the corpus is sharded, of the sizes asked for, and fair."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.sampling import stratified_sampling as module
from classifiers.sampling.hash_sampling import place_hash
from classifiers.sampling.stratified_sampling import Sample, stratified

Scores = Sequence[float | None] | None


def observed(
    folder: Path, strata: Sequence[str], sizes: Sequence[int], scores: Scores = None
) -> list[Path]:
    """Observations of documents in shards of these sizes."""
    assert sum(sizes) == len(strata)
    source = pa.array(["a.jsonl"] * len(strata), pa.large_string())
    columns = {
        "stratum": pa.array(strata, pa.large_string()),
        "hash": pa.array(place_hash(source, pa.array(range(len(strata)), pa.int64()))),
    }
    if scores is not None:
        columns["score"] = pa.array(scores, pa.float32())
    table, paths, start = pa.table(columns), [], 0
    for size in sizes:
        paths.append(folder / f"{len(sizes)}-{len(paths)}.parquet")
        pq.write_table(table.slice(start, size), paths[-1], row_group_size=7)
        start += size
    return paths


def draw(
    strata: Sequence[str],
    documents: int,
    allocation: module.Allocation = "equal",
    seed: int = 1,
    sizes: Sequence[int] | None = None,
    scores: Scores = None,
) -> tuple[Sample, list[int]]:
    """A sample, and its documents by their number in the corpus."""
    sizes = [len(strata)] if sizes is None else sizes
    with tempfile.TemporaryDirectory() as folder:
        paths = observed(Path(folder), strata, sizes, scores)
        sample = stratified(paths, documents, allocation, seed)
    starts = np.cumsum([0, *sizes])
    return sample, [int(starts[shard] + row) for shard, row in sample.places.tolist()]


def drawn(sample: Sample) -> Counter[str]:
    return Counter(sample.names[i] for i in sample.stratum.tolist())


def weights(sample: Sample) -> Mapping[str, float]:
    """Documents of the corpus that each stratum's sample stands for."""
    sums = np.bincount(sample.stratum, sample.weight, minlength=len(sample.names))
    return dict(zip(sample.names, sums.tolist(), strict=True))


@given(st.data())
def test_any_sample_is_independent_of_shards_distinct_and_of_the_right_size(
    data: st.DataObject,
) -> None:
    strata = data.draw(st.lists(st.sampled_from(["a", "b", "c · ö", ""]), max_size=60))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(strata)), max_size=4)))
    sizes = np.diff([0, *cuts, len(strata)]).tolist()
    documents = data.draw(st.integers(1, 70))
    allocation = data.draw(st.sampled_from(["equal", "proportional"]))
    scores = data.draw(
        st.none()
        | st.lists(
            st.none() | st.just(float("nan")) | st.floats(width=32, allow_nan=False),
            min_size=len(strata),
            max_size=len(strata),
        )
    )
    sample, chosen = draw(strata, documents, allocation, 5, scores=scores)
    again, same = draw(strata, documents, allocation, 5, sizes, scores)
    assert chosen == same
    assert sample.names == again.names
    assert sample.stratum.tolist() == again.stratum.tolist()
    assert sample.weight.tolist() == again.weight.tolist()
    assert len(set(chosen)) == len(chosen) == min(documents, len(strata))
    names = [sample.names[i] for i in sample.stratum.tolist()]
    ending = " · score " if scores is not None else None
    assert [name.split(ending)[0] if ending else name for name in names] == [
        strata[number] for number in chosen
    ]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1),
    st.integers(6, 200),
    st.sampled_from(["equal", "proportional"]),
)
def test_weights_add_up_to_the_strata_that_are_sampled(
    sizes: dict[str, int], documents: int, allocation: module.Allocation
) -> None:
    strata = [name for name, size in sizes.items() for _ in range(size)]
    sample, _ = draw(strata, documents, allocation)
    stood_for = {name: total for name, total in weights(sample).items() if total}
    assert stood_for == pytest.approx({name: sizes[name] for name in stood_for})
    assert set(stood_for) == set(drawn(sample))
    if allocation == "equal":
        assert set(stood_for) == set(sizes), "as many places as strata: none is left out"


def test_equal_strata_get_as_many_and_small_ones_give_all_they_have() -> None:
    strata = ["big"] * 500 + ["middle"] * 100 + ["small"] * 5
    sample, _ = draw(strata, 65)
    assert drawn(sample) == {"big": 30, "middle": 30, "small": 5}
    assert weights(sample) == pytest.approx({"big": 500, "middle": 100, "small": 5})
    # An odd one goes to those that have more left.
    assert drawn(draw(strata, 66)[0]) == {"big": 31, "middle": 30, "small": 5}


def test_proportional_strata_get_their_share() -> None:
    strata = ["big"] * 500 + ["middle"] * 100 + ["small"] * 5
    sample, _ = draw(strata, 121, "proportional")
    assert drawn(sample) == {"big": 100, "middle": 20, "small": 1}
    assert set(np.round(sample.weight, 6)) == {5.0}


def test_fewer_places_than_strata_leave_some_out() -> None:
    sample, _ = draw(["a", "b", "b", "c"], 2)
    assert len(sample.places) == 2
    assert len(sample.names) == 3


def test_a_corpus_smaller_than_the_sample_is_taken_whole() -> None:
    sample, chosen = draw(["a", "b", "a"], 10)
    assert sorted(chosen) == [0, 1, 2]
    assert sample.weight.tolist() == [1, 1, 1]


@pytest.mark.parametrize("sizes", [[], [0], [0, 0]])
def test_an_empty_corpus_gives_an_empty_sample(sizes: list[int]) -> None:
    sample, chosen = draw([], 10, sizes=sizes)
    assert chosen == []
    assert sample.places.shape == (0, 2)
    assert (sample.names, sample.weight.tolist()) == ((), [])


def test_one_document_is_a_sample() -> None:
    sample, chosen = draw(["only"], 1)
    assert (chosen, sample.names, sample.weight.tolist()) == ([0], ("only",), [1.0])


def test_any_beginning_is_a_random_part_of_the_sample() -> None:
    """Of a stratum that is sampled thinly, too, whose documents all have low ranks."""
    strata = ["big"] * 20_000 + ["small"] * 200
    sample, chosen = draw(strata, 400)
    assert drawn(sample) == {"big": 200, "small": 200}
    first = Counter(strata[number] for number in chosen[:100])
    assert 30 < first["big"] < 70
    middle = np.mean([number for number in chosen if strata[number] == "big"])
    assert 8_000 < middle < 12_000


def test_seeds_draw_other_samples() -> None:
    strata = ["a"] * 1_000
    chosen = [set(draw(strata, 100, seed=seed)[1]) for seed in (1, 2, 2**32 - 1)]
    assert all(len(a & b) < 30 for a in chosen for b in chosen if a is not b)


def test_more_documents_are_a_larger_sample_of_the_same() -> None:
    strata = ["a", "b"] * 300
    few, many = (set(draw(strata, documents)[1]) for documents in (40, 120))
    assert few < many, "labels that were bought for few are used for many"


def test_quarters_of_a_score_split_strata() -> None:
    scores = [float(n) for n in range(100)] + [None] * 20 + [float("nan")] * 5
    sample, chosen = draw(["a"] * 125, 125, scores=scores)
    assert drawn(sample) == {
        **{f"a · score {quarter}": 25 for quarter in (1, 2, 3, 4)},
        "a · score none": 25,
    }
    by_number = dict(zip(chosen, sample.stratum.tolist(), strict=True))
    assert sample.names[by_number[0]] == "a · score 1"
    assert sample.names[by_number[99]] == "a · score 4"


@pytest.mark.parametrize("scores", [[1.0] * 8, [None] * 8, [float("inf"), float("-inf")] * 4])
def test_scores_without_quarters_are_strata_all_the_same(scores: list[float | None]) -> None:
    sample, chosen = draw(["a"] * 8, 8, scores=scores)
    assert sorted(chosen) == list(range(8))
    assert 1 <= len(sample.names) <= 2


def test_quarters_begin_where_a_sample_of_scores_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLING", 400)
    scores = list(np.random.default_rng(0).permutation(4_000).astype(float))
    sample, _ = draw(["a"] * 4_000, 4_000, scores=scores)
    again, _ = draw(["a"] * 4_000, 4_000, sizes=[1_000] * 4, scores=scores)
    assert drawn(sample) == drawn(again)
    assert all(800 < size < 1_200 for size in drawn(sample).values())


def test_rows_that_cannot_be_in_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory follows the sample: of later shards only what ranks low enough is looked at."""
    most = 0
    plain = np.lexsort

    def watched(keys: tuple[np.ndarray, ...]) -> np.ndarray:
        nonlocal most
        most = max(most, len(keys[0]))
        return plain(keys)

    monkeypatch.setattr(module.np, "lexsort", watched)
    paths = observed(tmp_path, ["a"] * 40_000, [4_000] * 10)
    assert len(stratified(paths, 100, "equal", 3).places) == 100
    assert most == 4_000, "the first shard; then a hundred and what beats them"
