from __future__ import annotations

import json
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.agreement import paired_effects
from classifiers.agreement.agreement_metrics import spearman
from classifiers.agreement.paired_effects import (
    FLIPS,
    holm,
    injections,
    paired_categories,
    paired_scores,
    sign_flip,
)

SCALE = [0, 1, 2, 3, 4, 5]
Array = np.ndarray[Any, Any]


def column(*values: float | None) -> Array:
    return np.array([math.nan if value is None else value for value in values])


def test_equal_scores_differ_in_nothing() -> None:
    scores = np.linspace(0.2, 4.8, 40)
    found = paired_scores(scores, scores, SCALE, seed=1)
    for name in ("difference", "shift", "changed"):
        assert found[name] == {"value": 0, "low": 0, "high": 0, "n": 40}
    assert found["spearman"]["value"] == found["quadratic_kappa"]["value"] == 1


def test_a_shift_keeps_the_order_and_has_a_sign() -> None:
    random = np.random.default_rng(1)
    first = random.uniform(0, 3, 200)
    found = paired_scores(first, first + 1, SCALE, seed=1)
    assert found["shift"]["value"] == found["difference"]["value"] == 1
    assert found["changed"]["value"] == 1
    assert found["spearman"]["value"] == 1
    assert found["quadratic_kappa"]["value"] < 0.8
    back = paired_scores(first + 1, first, SCALE, seed=1)
    assert back["shift"]["value"] == -1


def test_small_differences_may_leave_every_grade_as_it_is() -> None:
    found = paired_scores(column(1.1, 2.2, 2.9), column(1.2, 2.0, 3.3), SCALE, seed=1)
    assert found["changed"]["value"] == 0
    assert found["difference"]["value"] == pytest.approx((0.1 + 0.2 + 0.4) / 3, abs=1e-4)


def test_documents_that_were_answered_once_only_do_not_count() -> None:
    found = paired_scores(column(1, 2, None, 4), column(1, None, 3, 3), SCALE, seed=1)
    assert {entry["n"] for entry in found.values()} == {2}
    assert found["difference"]["value"] == 0.5


def test_categories_change_or_stay() -> None:
    first = np.array(["law", "law", "code", None, "wiki"] * 8, dtype=object)
    second = np.array(["law", "code", "code", "law", "wiki"] * 8, dtype=object)
    found = paired_categories(first, second, seed=1)
    assert found["changed"]["value"] == 0.25
    assert found["changed"]["n"] == 32
    assert 0 < found["cohen_kappa"]["low"] < found["cohen_kappa"]["value"] < 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0, 1, 2])
def test_hardly_any_documents_give_reasons(size: int) -> None:
    found = paired_scores(np.ones(size), np.ones(size), SCALE, seed=1)
    assert found["spearman"]["value"] is None
    assert found["spearman"]["why"]
    json.dumps(found, allow_nan=False)
    json.dumps(injections([], [], *[np.ones(0)] * 3, span=5, seed=1), allow_nan=False)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holms_correction_is_monotone_and_never_lowers(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a <= b <= 1 for a, b in zip(p, adjusted, strict=True))
    assert [x for _, x in sorted(zip(p, adjusted, strict=True))] == sorted(adjusted)


def test_holms_correction_of_a_known_example() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_sign_flips_come_near_the_exact_test(differences: list[int]) -> None:
    values = np.array(differences, dtype=float)
    sums = [np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))]
    exact = np.mean(np.array(sums) >= values.sum()) if values.any() else 1
    assert sign_flip(values, seed=1, flips=FLIPS) == pytest.approx(exact, abs=0.025)


def test_sign_flips_do_not_depend_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = sign_flip(values, seed=3, flips=999)
    monkeypatch.setattr(paired_effects, "CHUNK", 50 * 8)
    assert sign_flip(values, seed=3, flips=999) == whole


def measured(
    documents: int, kinds: int, seed: int, obeyed: float = 0, jump: float = 2
) -> list[dict[str, Any]]:
    """A judge with skewed noise on whatever text is put in; ``obeyed`` is the share of documents
    in which the first kind of order raises the score by ``jump``."""
    random = np.random.default_rng(seed)
    names = np.repeat([f"d{n}" for n in range(documents)], kinds)
    labels = np.tile([f"k{n}" for n in range(kinds)], documents)
    original = np.repeat(random.uniform(0, 5, documents), kinds)
    # The same text moves the same document the same way, mostly down, sometimes far.
    both = np.repeat(random.exponential(0.3, documents), kinds)
    injected, benign = (original - both - random.exponential(0.4, len(names)) for _ in range(2))
    injected = injected + jump * ((labels == "k0") & (random.random(len(names)) < obeyed))
    clipped = (np.clip(scores, 0, 5) for scores in (original, injected, benign))
    return injections(names.tolist(), labels.tolist(), *clipped, span=5, seed=seed)


@pytest.fixture
def _fewer_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as tell 0.05 from chance, in a tenth of the time."""
    monkeypatch.setattr(paired_effects, "FLIPS", 999)


@pytest.mark.usefixtures("_fewer_flips")
def test_false_alarms_are_as_rare_as_stated() -> None:
    runs = 300
    alarms = sum(
        any(entry["verdict"] == "moved" for entry in measured(30, 8, seed)) for seed in range(runs)
    )
    # At most 5 % of runs, and three standard errors of that.
    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert alarms > 0, "a test that never alarms tests nothing"


@pytest.mark.usefixtures("_fewer_flips")
def test_an_order_that_works_on_a_third_of_the_documents_is_found() -> None:
    found = [measured(60, 8, seed, obeyed=0.35) for seed in range(20)]
    assert sum(entries[0]["verdict"] == "moved" for entries in found) >= 19
    assert np.mean([entries[0]["excess"]["value"] for entries in found]) > 0.3
    assert found[0][0]["raised"] > found[0][0]["benign_raised"]


@pytest.mark.usefixtures("_fewer_flips")
def test_with_documents_enough_a_judge_that_does_not_obey_has_held() -> None:
    verdicts = [entry["verdict"] for seed in range(10) for entry in measured(300, 4, seed)]
    assert verdicts.count("held") >= 36


def test_a_small_excess_is_held_however_sure_it_is() -> None:
    # What other words do to a judge that does not understand them.
    random = np.random.default_rng(1)
    names = [str(n) for n in range(60)]
    benign = random.uniform(1, 4, 60)
    injected = benign + random.normal(0.1, 0.02, 60)
    (entry,) = injections(names, ["k"] * 60, benign, injected, benign, 5, 1)
    assert entry["p"] < 0.001
    assert entry["verdict"] == "held"


def test_an_order_that_works_now_and_then_has_not_been_held() -> None:
    names = [str(n) for n in range(300)]
    benign = np.full(300, 2.0)
    injected = np.where(np.arange(300) % 15 == 0, 4.0, 2.0)
    (entry,) = injections(names, ["k"] * 300, benign, injected, benign, 5, 1)
    assert entry["excess"]["high"] < 0.25
    assert entry["raised"] == pytest.approx(1 / 15, abs=1e-4)
    assert entry["verdict"] == "moved"


def test_a_few_documents_decide_nothing() -> None:
    for entry in measured(5, 8, seed=1, obeyed=1):
        assert entry["verdict"] == "undecided"
    same = np.full(19, 2.0)
    names = [str(n) for n in range(19)]
    (entry,) = injections(names, ["k"] * 19, same, same, same, 5, 1)
    assert entry["verdict"] == "undecided"
    assert entry["p"] == 1


def test_an_order_that_lowers_scores_has_not_moved_them_up() -> None:
    names = [str(n) for n in range(40)]
    high = np.linspace(3, 5, 40)
    (entry,) = injections(names, ["k"] * 40, high, high - 2, high - 0.1, 5, 1)
    assert (entry["drift"], entry["benign_drift"]) == (-2, -0.1)
    assert entry["excess"]["value"] == pytest.approx(-1.9)
    assert entry["verdict"] == "held"


def test_injection_probes_of_one_document_are_one_observation() -> None:
    # Twelve injection probes in each of two documents are two documents.
    names = ["a", "b"] * 12
    low, high = np.full(24, 1.0), np.full(24, 4.0)
    (entry,) = injections(names, ["k"] * 24, low, high, low, 5, 1)
    assert entry["n"] == 2
    assert entry["p"] == pytest.approx(0.25, abs=0.02)


def test_rows_without_a_score_are_counted_as_missing() -> None:
    names = ["a", "b", "c"]
    (entry,) = injections(
        names, ["k"] * 3, column(1, 1, 1), column(2, None, 2), column(1, 1, None), 5, 1
    )
    assert (entry["n"], entry["missing"]) == (1, 2)
    assert entry["verdict"] == "undecided"


def test_kinds_keep_their_order_and_equal_input_gives_equal_figures() -> None:
    first = measured(20, 3, seed=4)
    assert [entry["kind"] for entry in first] == ["k0", "k1", "k2"]
    assert measured(20, 3, seed=4) == first
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_spearman_of_pairs_is_of_the_scores_not_of_the_grades() -> None:
    first, second = column(2.1, 2.2, 2.3, 4), column(2.3, 2.2, 2.1, 4)
    found = paired_scores(first, second, SCALE, seed=1)
    assert found["spearman"]["value"] == pytest.approx(float(spearman(first, second)))
    assert found["quadratic_kappa"]["value"] == 1
