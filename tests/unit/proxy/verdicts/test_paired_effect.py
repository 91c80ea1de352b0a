import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proxy.verdicts.paired_effect import Effect, Stratum, effect


def stratum(begin, end, cluster_size=1):
    rows = np.arange(begin, end)
    return Stratum("wiki", rows, rows // cluster_size)


def whole(documents, cluster_size=1):
    return [stratum(0, documents, cluster_size)]


def test_variances_of_a_balanced_table_are_the_textbook_ones():
    difference = np.random.default_rng(1).normal(size=(4, 30))
    found = effect(difference, np.ones(30, int), whole(30))
    assert found.delta == pytest.approx(difference.mean())
    assert found.seed_variance == pytest.approx(difference.mean(axis=1).var(ddof=1) / 4)
    assert found.document_variance == pytest.approx(difference.mean(axis=0).var(ddof=1) / 30)
    assert (found.seed_df, found.document_df) == (3, pytest.approx(29))


def test_a_document_twice_as_long_with_twice_the_difference_adds_no_document_variance():
    size = np.array([100, 200, 300, 50])
    found = effect(np.outer([1.0, 2.0], size), size, whole(4))
    assert found.delta == pytest.approx(1.5)
    assert found.document_variance == pytest.approx(0, abs=1e-20)


def test_strata_of_equal_variance_share_their_degrees_of_freedom():
    half = np.random.default_rng(2).normal(size=(3, 10))
    found = effect(np.hstack([half, half]), np.ones(20, int), [stratum(0, 10), stratum(10, 20)])
    assert found.document_df == pytest.approx(18)
    alone = effect(half, np.ones(10, int), whole(10))
    assert found.document_variance == pytest.approx(alone.document_variance / 2)


def test_without_document_variance_the_interval_is_students_over_seeds():
    found = Effect(0.1, 0.04**2, 2, 0.0, 50)
    assert found.half_width(0.05) == pytest.approx(0.04 * stats.t.ppf(0.975, 2))
    assert found.p_value() == pytest.approx(2 * stats.t.sf(0.1 / 0.04, 2))


@given(
    delta=st.floats(1e-6, 10),
    seed=st.floats(0, 1),
    document=st.floats(1e-9, 1),
    df=st.integers(1, 9),
)
def test_the_interval_at_the_p_value_touches_zero(delta, seed, document, df):
    found = Effect(delta, seed, df, document, 40)
    p = found.p_value()
    assert 0 <= p <= 1
    if p > 1e-90:
        assert found.half_width(p) == pytest.approx(delta, rel=1e-6, abs=1e-9)
    assert found.half_width(0.05) >= stats.t.isf(0.025, df) * math.sqrt(seed)
    assert found.detectable(0.05) > found.half_width(0.05)


REPEATS = 600


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 8])
def test_the_reported_detectable_effect_is_found_four_times_in_five(seeds):
    """One experiment reports the effect, another one under it as the true difference decides."""
    generator = np.random.default_rng(seeds)

    def experiment(true):
        shift = generator.normal(true, 1, (seeds, 1)) + generator.normal(0, 0.3, 40)
        return effect(shift + generator.normal(0, 0.3, (seeds, 40)), np.ones(40, int), whole(40))

    found = 0
    for _ in range(2 * REPEATS):
        repetition = experiment(experiment(0).detectable(0.05))
        found += repetition.delta > repetition.half_width(0.05)
    assert found / (2 * REPEATS) == pytest.approx(0.8, abs=0.03)


def false_alarms(difference_of, strata, repeats=REPEATS):
    found = 0
    for _ in range(repeats):
        difference = difference_of()
        result = effect(difference, np.ones(difference.shape[1], int), strata)
        found += abs(result.delta) > result.half_width(0.05)
    return found / repeats


@pytest.mark.parametrize(("clusters", "size"), [(10, 5), (40, 5), (20, 10)])
def test_documents_of_one_cluster_count_once(clusters, size):
    generator = np.random.default_rng(0)

    def difference_of():
        shared = np.repeat(generator.normal(0, math.sqrt(0.7), clusters), size)
        documents = shared + generator.normal(0, math.sqrt(0.3), clusters * size)
        return documents + generator.normal(0, 0.01, (3, 1))

    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)
    assert false_alarms(difference_of, whole(clusters * size, size)) <= limit
    assert false_alarms(difference_of, whole(clusters * size)) > 0.2, "the test sees clusters"


@pytest.mark.parametrize("documents", [30, 60, 200])
def test_heavy_tailed_documents_raise_no_false_alarms(documents):
    generator = np.random.default_rng(0)

    def difference_of():
        tail = generator.lognormal(0, 1, documents) - math.exp(0.5)
        return tail + generator.normal(0, 0.01, (3, 1))

    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)
    assert false_alarms(difference_of, whole(documents)) <= limit


def test_clusters_of_one_document_are_documents():
    difference = np.random.default_rng(3).normal(size=(3, 30))
    alone = effect(difference, np.ones(30, int), whole(30))
    shuffled = [Stratum("wiki", np.arange(30), np.arange(30)[::-1])]
    again = effect(difference, np.ones(30, int), shuffled)
    assert again.document_variance == pytest.approx(alone.document_variance)
    assert again.document_df == pytest.approx(29)
