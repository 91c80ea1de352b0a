from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from classifiers.scores import quantiles as module
from classifiers.scores.quantiles import (
    GroupQuantiles,
    HistogramBuilder,
    ScoreBatch,
    ScoreBatches,
    Scores,
    Weight,
    keys_of,
    scores_of,
)

F32 = np.float32
TINY = np.nextafter(F32(0), F32(1))
# What goes wrong first: both zeros, denormals, neighbours, infinities, and scores that share their
# upper half with others.
ODD = [0.0, -0.0, TINY, -TINY, 3e38, -3e38, np.inf, -np.inf, 1.0, np.nextafter(F32(1), F32(2))]
NUMBERS = st.one_of(
    st.sampled_from([float(F32(value)) for value in ODD]),
    st.floats(width=32, allow_nan=False),
    st.floats(0.5, 0.5078125, width=32),
)
# (group, score, bytes)
ROWS = st.lists(st.tuples(st.integers(0, 2), NUMBERS, st.integers(0, 9)), max_size=60)
SHARES = st.lists(
    st.builds(Fraction, st.integers(1, 1_000), st.just(1_000)), min_size=1, max_size=4
)
WEIGHTS = st.sampled_from(["documents", "bytes"])


def stream_of(rows: Sequence[tuple[int, float, int]], part: int = 7) -> ScoreBatches:
    group = np.array([row[0] for row in rows], np.int64)
    keys = keys_of(np.array([row[1] for row in rows], F32))
    sizes = np.array([row[2] for row in rows], np.int64)

    def stream() -> Iterator[ScoreBatch]:
        for at in range(0, len(rows), part):
            here = slice(at, at + part)
            yield ScoreBatch(group[here], keys[here], sizes[here])

    return stream


def expected(scores: Scores, mass: Sequence[int], share: Fraction) -> float:
    """The highest score at or above which the share lies, by sorting everything."""
    order = np.argsort(-scores, kind="stable")
    need = max(1, ceil(share * sum(mass)))
    reached = np.cumsum(np.array(mass, np.int64)[order])
    place = int(np.searchsorted(reached, need))
    return float(scores[order[min(place, len(order) - 1)]])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_keys_are_in_the_order_of_scores(pair: list[float]) -> None:
    one, two = keys_of(np.array(pair, F32)).tolist()
    assert (one < two, one == two) == (pair[0] < pair[1], pair[0] == pair[1])
    assert 0 <= one < 2**32


@given(arrays.arrays(F32, st.integers(0, 20), elements=NUMBERS))
def test_scores_come_back_from_their_keys(scores: Scores) -> None:
    assert scores_of(keys_of(scores)).tolist() == scores.tolist()


@given(ROWS, SHARES, WEIGHTS)
@settings(max_examples=400)
def test_cuts_are_those_found_by_sorting(
    rows: list[tuple[int, float, int]], shares: list[Fraction], weight: Weight
) -> None:
    quantiles = GroupQuantiles.of(stream_of(rows), shares, weight)
    assert quantiles.groups.tolist() == sorted({group for group, _, _ in rows})
    for place, group in enumerate(quantiles.groups.tolist()):
        mine = [row for row in rows if row[0] == group]
        scores = np.array([score for _, score, _ in mine], F32)
        mass = [1 if weight == "documents" else size for _, _, size in mine]
        found = scores_of(quantiles.cuts[place]).tolist()
        assert found == [expected(scores, mass, share) for share in shares]


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.integers(1, 99))
def test_the_share_is_reached_and_the_next_score_would_not_reach_it(
    scores: list[float], percent: int
) -> None:
    values = np.array(scores, F32)
    quantiles = GroupQuantiles.of(
        stream_of([(0, score, 1) for score in scores]), [Fraction(percent, 100)], "documents"
    )
    cut = scores_of(quantiles.cuts[0])[0]
    assert cut == -np.quantile(-values, percent / 100, method="inverted_cdf") or percent % 10
    assert (values >= cut).sum() * 100 >= percent * len(values) > (values > cut).sum() * 100


@given(ROWS, SHARES, WEIGHTS, st.randoms())
def test_order_and_parts_do_not_matter(
    rows: list[tuple[int, float, int]], shares: list[Fraction], weight: Weight, random: object
) -> None:
    shuffled = sorted(rows, key=lambda _: random.random())  # type: ignore[attr-defined]
    one = GroupQuantiles.of(stream_of(rows, 60), shares, weight)
    two = GroupQuantiles.of(stream_of(shuffled, 1), shares, weight)
    assert one.cuts.tolist() == two.cuts.tolist()
    assert [x.tolist() for x in one.at_or_above(one.cuts[:, 0])] == [
        x.tolist() for x in two.at_or_above(two.cuts[:, 0])
    ]


@given(ROWS, SHARES, NUMBERS)
def test_what_is_at_or_above_a_cut_is_counted(
    rows: list[tuple[int, float, int]], shares: list[Fraction], fixed: float
) -> None:
    key = int(keys_of(np.array([fixed], F32))[0])
    quantiles = GroupQuantiles.of(stream_of(rows), shares, "bytes", [key])
    everywhere = np.full(len(quantiles.groups), key)
    for keys in (*quantiles.cuts.T, everywhere, np.maximum(quantiles.cuts[:, 0], everywhere)):
        documents, sizes = quantiles.at_or_above(keys)
        for place, group in enumerate(quantiles.groups.tolist()):
            least = scores_of(keys)[place]
            above = [size for g, score, size in rows if g == group and F32(score) >= least]
            assert (documents[place], sizes[place]) == (len(above), sum(above))
    documents, sizes = quantiles.totals()
    assert (documents.sum(), sizes.sum()) == (len(rows), sum(size for _, _, size in rows))


def test_a_share_is_exact_where_floats_are_not() -> None:
    # 0.1 * 3 > 0.3 in binary, which would ask for four of ten.
    rows = [(0, float(score), 1) for score in range(10)]
    for tenths in range(1, 11):
        quantiles = GroupQuantiles.of(stream_of(rows), [Fraction(tenths, 10)], "documents")
        assert quantiles.at_or_above(quantiles.cuts[:, 0])[0].tolist() == [tenths]


def test_weights_beyond_what_a_float_can_count() -> None:
    # In 64-bit floats the two totals are the same number.
    rows = [(0, 1.0, 2**53), (0, 2.0, 1), (0, 3.0, 2**53)]
    half = Fraction(2**53 + 1, 2**54 + 1)
    assert scores_of(GroupQuantiles.of(stream_of(rows), [half], "bytes").cuts[0]).tolist() == [2.0]


def test_a_group_that_weighs_nothing_is_cut_at_its_lowest_score() -> None:
    rows = [(0, 5.0, 10), (1, 3.0, 0), (1, 2.0, 0), (2, 7.0, 10)]
    quantiles = GroupQuantiles.of(stream_of(rows), [Fraction(1, 2)], "bytes")
    assert scores_of(quantiles.cuts[:, 0]).tolist() == [5.0, 2.0, 7.0]


def test_no_documents_have_no_groups() -> None:
    quantiles = GroupQuantiles.of(stream_of([]), [Fraction(1, 2)], "documents", [0])
    assert quantiles.cuts.shape == (0, 1)
    assert quantiles.at_or_above(quantiles.cuts[:, 0])[0].tolist() == []


@pytest.mark.parametrize("shares", [[], [Fraction(1, 3)]])
def test_fixed_keys_need_no_shares(shares: list[Fraction]) -> None:
    key = int(keys_of(np.array([0.5], F32))[0])
    quantiles = GroupQuantiles.of(
        stream_of([(4, 0.25, 1), (4, 0.75, 3)]), shares, "documents", [key]
    )
    assert [x.tolist() for x in quantiles.at_or_above(np.array([key]))] == [[1], [3]]


def test_a_tally_holds_the_same_however_often_it_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    keys, sizes = rng.integers(0, 50, 1_000), rng.integers(0, 9, 1_000)
    tables = []
    for fewest in (10, 2**20):
        monkeypatch.setattr(module, "FEWEST_TO_MERGE", fewest)
        builder = HistogramBuilder()
        for at in range(0, 1_000, 3):
            builder.add(keys[at : at + 3], sizes[at : at + 3])
        tables.append(builder.build())
    one, two = tables
    assert one.keys.tolist() == two.keys.tolist() == sorted(set(keys.tolist()))
    assert one.documents.tolist() == two.documents.tolist()
    assert one.documents[-1] == 1_000
    assert one.bytes.tolist() == two.bytes.tolist()
    assert np.diff(one.bytes)[7] == sizes[keys == one.keys[7]].sum()
