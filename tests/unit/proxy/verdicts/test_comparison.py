import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.verdicts.comparison import (
    AGGREGATE,
    Comparison,
    Scores,
    bits_per_byte,
    compare_mixes,
    read_scores,
)


def scores(mix, seed, bits, bytes_=None, target=None):
    bits = np.asarray(bits, float)
    return Scores(
        mix,
        seed,
        tuple(target or ["wiki"] * len(bits)),
        tuple(str(i) for i in range(len(bits))),
        bits,
        np.full(len(bits), 100) if bytes_ is None else np.asarray(bytes_),
    )


def trials(deltas, *, seeds=3, documents=40, seed_noise=0.5, targets=("wiki",), rng=0):
    """Trials of a baseline and of mixes whose documents cost ``deltas[mix]`` bits more."""
    generator = np.random.default_rng(rng)
    target = [targets[i % len(targets)] for i in range(documents)]
    base = generator.normal(300, 40, documents)
    found = []
    for mix, delta in {"base": 0.0, **deltas}.items():
        quirk = generator.normal(0, 3, documents)
        for seed in range(seeds):
            noise = generator.normal(0, seed_noise) + generator.normal(0, 1, documents)
            bits = base + noise + (delta + quirk if mix != "base" else 0)
            found.append(scores(mix, seed, bits, target=target))
    return found


def test_a_clear_gain_is_better_and_a_clear_loss_is_worse():
    gain, loss = compare_mixes(trials({"gain": -30, "loss": 30}), "base")
    assert (gain.mix, gain.decision) == ("gain", "better")
    assert gain.low < gain.delta < gain.high < 0
    assert gain.delta == pytest.approx(-0.3, abs=0.03)
    assert (loss.mix, loss.decision) == ("loss", "worse")
    assert 0 < loss.low < loss.delta < loss.high


def test_a_gap_below_the_noise_is_undecided_and_the_detectable_effect_says_so():
    (comparison,) = compare_mixes(trials({"same": 0.3}, seeds=2), "base")
    assert comparison.decision == "undecided"
    assert comparison.low < 0 < comparison.high
    assert comparison.mde > abs(comparison.delta)


def test_bits_per_byte_weighs_documents_by_length_and_targets_equally():
    both = scores("m", 0, [10, 90, 40], [10, 30, 10], ["a", "a", "b"])
    assert bits_per_byte(both) == {"a": 2.5, "b": 4.0, AGGREGATE: 3.25}


def test_delta_is_the_difference_of_bits_per_byte_averaged_over_seeds():
    generator = np.random.default_rng(5)
    size = generator.integers(50, 500, 12)
    target = ["a"] * 8 + ["b"] * 4
    made = [
        scores(mix, seed, generator.uniform(50, 900, 12), size, target)
        for mix in ("base", "mix")
        for seed in (3, 1)
    ]
    comparisons = compare_mixes(made, "base")
    assert [comparison.target for comparison in comparisons] == [AGGREGATE, "a", "b"]
    for comparison in comparisons:
        of = {s.mix: [] for s in made}
        for s in made:
            of[s.mix].append(bits_per_byte(s)[comparison.target])
        assert comparison.delta == pytest.approx(np.mean(of["mix"]) - np.mean(of["base"]))
    assert [comparison.documents for comparison in comparisons] == [12, 8, 4]
    assert {comparison.seeds for comparison in comparisons} == {2}


def test_the_order_of_trials_within_a_mix_does_not_matter():
    made = trials({"mix": -2}, seeds=3)
    assert compare_mixes(made, "base") == compare_mixes([*made[:3], *made[:2:-1]], "base")


def test_one_seed_is_always_undecided_and_says_why():
    (comparison,) = compare_mixes(trials({"mix": -300}, seeds=1), "base")
    assert (comparison.decision, comparison.low, comparison.high, comparison.mde) == (
        "undecided",
        None,
        None,
        None,
    )
    assert (comparison.p, comparison.p_adjusted) == (1, 1)
    assert "one seed" in comparison.why


@pytest.mark.parametrize("rare", [1, 2, 12, 20])
def test_few_documents_in_a_target_leave_it_and_the_mean_undecided(rare):
    made = trials({"mix": -50}, documents=50 + rare)
    made = [replace(s, target=("rare",) * rare + ("wiki",) * 50) for s in made]
    by_target = {comparison.target: comparison for comparison in compare_mixes(made, "base")}
    assert f"{rare} held-out document" in by_target["rare"].why
    assert "at least 21" in by_target["rare"].why
    assert by_target[AGGREGATE].decision == "undecided"
    assert by_target[AGGREGATE].why == by_target["rare"].why
    assert by_target["wiki"].decision == "better"


def test_documents_of_one_cluster_leave_a_target_undecided():
    made = [replace(s, cluster=("book",) * 40) for s in trials({"mix": -50})]
    (comparison,) = compare_mixes(made, "base")
    assert comparison.decision == "undecided"
    assert "one cluster" in comparison.why


def test_identical_trials_are_undecided():
    made = [scores(mix, seed, [100, 200, 300] * 7) for mix in ("base", "copy") for seed in (0, 1)]
    (comparison,) = compare_mixes(made, "base")
    assert (comparison.delta, comparison.low, comparison.high, comparison.p) == (0, 0, 0, 1)
    assert comparison.decision == "undecided"


def test_holm_tests_the_smallest_p_hardest_and_stops_at_the_first_failure():
    comparisons = compare_mixes(trials({"c": 0.1, "a": -30, "b": 0.0}, documents=60), "base")
    assert [comparison.mix for comparison in comparisons] == ["c", "a", "b"]
    by_p = sorted(comparisons, key=lambda comparison: comparison.p)
    assert by_p[0].mix == "a"
    assert [comparison.level for comparison in by_p] == [0.05 / 3, 0.05 / 2, 0.05 / 2]
    adjusted = [comparison.p_adjusted for comparison in by_p]
    assert adjusted == sorted(adjusted)
    assert by_p[0].p_adjusted == pytest.approx(3 * by_p[0].p)


def test_targets_are_a_family_of_their_own():
    made = trials({"mix": -30}, documents=60, targets=("wiki", "code"))
    aggregate, *single = compare_mixes(made, "base")
    assert aggregate.primary
    assert aggregate.level == 0.05
    assert [comparison.target for comparison in single] == ["wiki", "code"]
    assert not any(comparison.primary for comparison in single)
    assert sorted(comparison.level for comparison in single) == [0.025, 0.05]


@given(
    rng=st.integers(0, 2**32),
    mixes=st.integers(1, 4),
    seeds=st.integers(2, 4),
    size=st.floats(-8, 8),
)
def test_decision_interval_and_adjusted_p_value_always_agree(rng, mixes, seeds, size):
    deltas = {f"m{i}": size * i for i in range(mixes)}
    for comparison in compare_mixes(trials(deltas, seeds=seeds, documents=24, rng=rng), "base"):
        assert (comparison.decision == "better") == (comparison.high < 0)
        assert (comparison.decision == "worse") == (comparison.low > 0)
        assert (comparison.decision != "undecided") == (comparison.p_adjusted <= 0.05)
        assert comparison.p <= comparison.p_adjusted


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda made: [], "no trials"),
        (lambda made: made[3:], "no trial of the baseline"),
        (lambda made: made[:-1], "has seeds"),
        (lambda made: [*made, made[-1]], "twice"),
        (lambda made: [*made[:-1], replace(made[-1], id=made[-1].id[::-1])], "other documents"),
        (lambda made: [*made[:-1], replace(made[-1], bytes=made[-1].bytes + 1)], "other documents"),
        (lambda made: [*made[:-1], replace(made[-1], bits=made[-1].bits * np.nan)], "not finite"),
        (lambda made: [*made[:-1], replace(made[-1], bits=made[-1].bits[1:])], "missing"),
        (lambda made: [replace(s, bytes=s.bytes * 0) for s in made], "positive number"),
        (lambda made: [replace(s, id=("x",) * len(s.id)) for s in made], "evaluated twice"),
        (lambda made: [replace(s, target=("all",) * len(s.id)) for s in made], "may not be"),
        (lambda made: [scores(s.mix, s.seed, []) for s in made], "no documents"),
    ],
)
def test_trials_that_cannot_be_paired_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        compare_mixes(spoil(trials({"mix": 1})), "base")


@pytest.mark.parametrize("alpha", [0, 1, -0.1, math.nan])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(ValueError, match="alpha"):
        compare_mixes(trials({"mix": 1}), "base", alpha)


def test_scores_are_read_back_from_what_a_trial_wrote(tmp_path: Path):
    columns = {"target": ["a", "b"], "id": ["1", "2"], "bits": [1.5, 2.5], "bytes": [3, 4]}
    columns["cluster"] = ["x", "y"]
    pq.write_table(pa.table(columns), tmp_path / "evaluation.parquet")
    found = read_scores(tmp_path / "evaluation.parquet", "m", 7)
    assert (found.mix, found.seed, found.target, found.id) == ("m", 7, ("a", "b"), ("1", "2"))
    assert found.bits.tolist() == [1.5, 2.5]
    assert found.bytes.tolist() == [3, 4]
    assert found.cluster == ("x", "y")


REPEATS = 400


def rejections(seeds, *, seed_noise, document_noise, residual, true=0.0, rng=0):
    """Comparisons of REPEATS experiments with normal noise: how seeds and documents really vary."""
    generator = np.random.default_rng(rng)
    documents = 40
    comparisons: list[Comparison] = []
    for _ in range(REPEATS):
        shift = generator.normal(0, seed_noise, (seeds, 1))
        shift = shift + generator.normal(0, document_noise, documents)
        shift = shift + generator.normal(0, residual, (seeds, documents)) + true
        made = [scores("base", s, np.full(documents, 300.0)) for s in range(seeds)]
        made += [scores("mix", s, 300.0 + shift[s]) for s in range(seeds)]
        comparisons += compare_mixes(made, "base")
    return sum(
        comparison.decision != "undecided" for comparison in comparisons
    ) / REPEATS, comparisons


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("seed_noise", "document_noise", "residual"),
    [(1, 0, 0.5), (0.1, 5, 0.5), (1, 6.3, 1), (0, 0, 1)],
    ids=["seeds", "documents", "both", "residual"],
)
def test_false_alarms_stay_below_alpha_whatever_varies(seeds, seed_noise, document_noise, residual):
    rate, _ = rejections(
        seeds, seed_noise=seed_noise, document_noise=document_noise, residual=residual
    )
    # Three standard errors of a share of .05 in 400.
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)


def test_power_grows_with_the_effect_and_the_seeds():
    noise = {"seed_noise": 1, "document_noise": 3, "residual": 1}
    by_effect = [rejections(3, true=true, **noise)[0] for true in (0, 2, 4, 8)]
    assert by_effect == sorted(by_effect)
    assert by_effect[-1] > 0.9
    assert rejections(5, true=4, **noise)[0] > rejections(2, true=4, **noise)[0] + 0.3
