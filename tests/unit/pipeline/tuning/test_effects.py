from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_fixtures import Between, between, stored

from pipeline.engine.run import run
from pipeline.errors import ManifestError, Refusal
from pipeline.manifest import NamedStep, load_manifest
from pipeline.step import RowStep
from pipeline.tuning.effects import (
    Boundary,
    Effects,
    TuningResult,
    boundaries,
    boundaries_of_filter,
    changed_documents,
    documents_at,
    effects_of,
    exact,
    tune,
)


def tuned(path: Path, *overrides: str) -> TuningResult:
    return tune(path, overrides, path.parent / "out")


def removed(effects: Effects) -> dict[str, int]:
    return {found.label: int(found.removed.sum()) for found in effects.filters}


def test_filters_and_rules_are_counted_apart() -> None:
    found = effects_of(
        stored({"one.n": [1, 5, 9, 9], "two.n": [0, 9, 9, 0]}),
        [between("one", low=3, high=8), between("two", low=5)],
    )
    assert removed(found) == {"one": 3, "two": 2}
    assert found.kept.tolist() == [False, True, False, False]
    one, two = found.filters
    assert found.alone(one).tolist() == [False, False, True, False]
    assert found.alone(two).tolist() == [False] * 4
    low, high = one.rules
    assert (low.limit, high.limit) == ("≥ 3", "≤ 8")
    assert found.alone_for(high).tolist() == [False, False, True, False]
    assert found.alone_for(low).tolist() == [False] * 4


def test_in_order_each_document_goes_once() -> None:
    measurements = stored({"one.n": [1, 5, 9, 9], "two.n": [0, 9, 9, 0]})
    found = effects_of(measurements, [between("one", high=8), between("two", low=5)])
    assert [int(dropped.sum()) for _, dropped in found.in_order()] == [2, 1]


def test_what_is_undefined_breaks_no_limit() -> None:
    found = effects_of(stored({"s.share": [np.nan, 0.9, 0.1]}), [between("s", share=0.5)])
    assert found.kept.tolist() == [True, False, True]


def test_steps_without_thresholds_have_an_effect_for_each_reason() -> None:
    measurements = stored({}, {"s": ["", "b", "a", "b"]})
    (found,) = effects_of(measurements, [NamedStep("s", RowStep(), "s")]).filters
    counts = {effect.rule.reason: int(effect.broken.sum()) for effect in found.rules}
    assert counts == {"b": 2, "a": 1}
    assert not found.has_thresholds
    assert found.removed.tolist() == [False, True, True, True]
    assert {effect.limit for effect in found.rules} == {""}


def test_a_signal_that_is_not_stored_is_refused() -> None:
    with pytest.raises(Refusal, match=r"s did not measure 'n', which its rule 'low' \(low\)"):
        effects_of(stored({"s.share": [1]}), [between("s", low=1)])


def test_without_filters_everything_is_kept() -> None:
    found = effects_of(stored({"s.n": [1, 2]}), [between("s")])
    assert found.kept.all()
    assert effects_of(stored({"s.n": [1, 2]}), []).kept.all()


numbers = st.floats(-5, 5) | st.just(np.nan)
limits = st.none() | st.floats(-5, 5)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20),
    st.tuples(limits, limits, limits, limits),
)
@settings(max_examples=60)
def test_counts_agree_with_asking_document_by_document(
    values: list[tuple[float, float]], given_limits: tuple[float | None, ...]
) -> None:
    low, high, low_2, high_2 = given_limits
    measurements = stored({"a.n": [v[0] for v in values], "b.n": [v[1] for v in values]})
    found = effects_of(
        measurements,
        [
            NamedStep("a", Between(low=low, high=high), "a"),
            NamedStep("b", Between(low=low_2, high=high_2), "b"),
        ],
    )
    for row, (one, two) in enumerate(values):
        broken = [
            [low is not None and one < low, high is not None and one > high],
            [low_2 is not None and two < low_2, high_2 is not None and two > high_2],
        ]
        gone = [any(rules) for rules in broken]
        assert found.kept[row] == (not any(gone))
        for number, filter_ in enumerate(found.filters):
            assert filter_.removed[row] == gone[number]
            assert found.alone(filter_)[row] == (gone[number] and not gone[1 - number])
        total = sum(map(sum, broken))
        for effect in found.rules():
            assert found.alone_for(effect)[row] == (effect.broken[row] and total == 1)


def test_overrides_are_compared_with_the_manifest_as_written(measured_once: Path) -> None:
    found = tuned(measured_once, "steps.Sized.least=4", "steps.Trim.most=9")
    assert found.changes == ("steps.Sized.least: 5 → 4", "steps.Trim.most: 6 → 9")
    assert found.before is not None
    assert removed(found.before)["Trim"] == 1
    assert removed(found.now)["Trim"] == 0
    gained = found.now.kept & ~found.before.kept
    ids = {row["id"] for row in found.stored.documents(np.flatnonzero(gained)).values()}
    assert ids == {"a1-0", "a1-3", "a2-2"}
    changed = [effect.key[1] for effect in found.now.rules() if found.is_changed(effect)]
    assert changed == ["short", "wordy"]


def test_without_overrides_there_is_nothing_to_compare(measured_once: Path) -> None:
    found = tuned(measured_once)
    assert (found.before, found.changes) == (None, ())
    assert found.skipped == ("exact_dedup",)
    assert not any(map(found.is_changed, found.now.rules()))


def test_a_rule_may_be_turned_off_and_on_without_measuring_again(measured_once: Path) -> None:
    off = tuned(measured_once, "steps.Sized.max_share=null", "steps.Sized.most=null")
    assert [r.rule.reason for r in off.now.filters[0].rules] == ["short"]
    assert off.changes == ("steps.Sized.most: 40 → —", "steps.Sized.max_share: 0.5 → —")
    assert removed(off.now)["Sized"] < removed(off.before)["Sized"]  # type: ignore[arg-type]


def test_decisions_are_those_of_a_real_run(measured: Path) -> None:
    overrides = ["steps.Sized.least=10", "steps.Sized.max_share=0.9"]
    found = tuned(measured, *overrides)
    steps = ["filters.py:Sized", "filters.py:Trim", "filters.py:Loud"]
    results = run(load_manifest(measured, [f"steps={steps}", *overrides], measured.parent / "run"))
    dropped = {
        step: sum(count.documents for count in reasons.values())
        for step, reasons in results.documents.dropped.items()
    }
    assert {f.label: int(rows.sum()) for f, rows in found.now.in_order()} == dropped
    assert int(found.now.kept.sum()) == results.documents.kept.documents


def test_wrong_overrides_are_located(measured_once: Path) -> None:
    with pytest.raises(ManifestError, match="unknown-field") as caught:
        tuned(measured_once, "steps.Sized.leest=4")
    assert str(caught.value).startswith("--set #1:1:13 unknown-field")
    assert caught.value.exit_code == 2


def test_overrides_that_change_what_is_measured_must_be_measured(measured: Path) -> None:
    with pytest.raises(Refusal) as caught:
        tuned(measured, "steps.Sized.letter=y", "steps.Sized.least=1")
    assert "--set steps.Sized.letter=y --set steps.Sized.least=1" in caught.value.hint


def test_when_the_manifest_itself_is_not_measured_no_override_is_named(measured: Path) -> None:
    measured.write_text(measured.read_text().replace("{least: 5}", "{letter: y}"))
    with pytest.raises(Refusal) as caught:
        tuned(measured, "steps.Sized.least=1")
    assert "--set" not in caught.value.hint


def boundary(values: list[float], count: int, **limits: float) -> Boundary:
    measurements = stored({"s.n": values})
    (filter_,) = effects_of(measurements, [between("s", **limits)]).filters
    (found,) = boundaries(measurements, filter_.rules[0], count)
    return found


def test_the_nearest_on_both_sides_come_first() -> None:
    found = boundary([1, 50, 49, 51, 90, 48, np.nan], 2, low=50)
    assert (found.removed, found.kept) == ((2, 5), (1, 3))
    assert (found.sign, found.limit) == ("≥", 50)


def test_what_equals_an_upper_limit_stays() -> None:
    found = boundary([0.3, 0.31, 0.1], 1, high=0.3)
    assert (found.removed, found.kept) == ((1,), (0,))


def test_ties_are_not_all_from_the_beginning() -> None:
    found = boundary([1.0] * 1000, 4, high=2)
    assert len(set(found.kept)) == 4
    assert max(found.kept) > 100
    assert found.kept == boundary([1.0] * 1000, 4, high=2).kept, "and always the same"


def test_rules_without_a_limit_have_no_boundary() -> None:
    measurements = stored({}, {"s": ["", "gone"]})
    (filter_,) = effects_of(measurements, [between("s")]).filters
    assert filter_.rules == ()


@given(
    st.lists(st.integers(-9, 9) | st.just(np.nan), min_size=1, max_size=30),
    st.integers(-9, 9),
    st.booleans(),
)
@settings(max_examples=60)
def test_nobody_else_is_nearer(values: list[float], limit: int, lower: bool) -> None:
    found = boundary(values, 3, **{"low" if lower else "high": limit})
    for rows, gone in ((found.removed, True), (found.kept, False)):
        side = [
            abs(v - limit)
            for v in values
            if not np.isnan(v) and ((v < limit if lower else v > limit) == gone)
        ]
        assert [abs(values[row] - limit) for row in rows] == sorted(side)[:3]


def test_changed_rules_are_shown_first_and_those_nobody_breaks_not_at_all(
    measured_once: Path,
) -> None:
    tuned = tune(measured_once, ["steps.Sized.most=50"], measured_once.parent / "out")
    sized, trim, loud = tuned.now.filters
    assert [b.effect.rule.reason for b in boundaries_of_filter(tuned, sized, 1)] == [
        "long",
        "short",
        "letter",
    ]
    assert [b.effect.rule.reason for b in boundaries_of_filter(tuned, trim, 1)] == ["wordy"]
    assert boundaries_of_filter(tuned, loud, 1) == []


def test_documents_that_change_sides_are_found(measured_once: Path) -> None:
    overrides = ["steps.Sized.least=4", "steps.Trim.most=2"]
    tuned = tune(measured_once, overrides, measured_once.parent / "out")
    gained, lost = changed_documents(tuned, 9)
    assert {row["id"] for row in documents_at(tuned.stored, gained)} == {"a1-0", "a2-2"}
    assert {row["id"] for row in documents_at(tuned.stored, lost)} == {"a1-1", "b1-0"}
    again = tune(measured_once, (), measured_once.parent / "out")
    assert changed_documents(again, 9) == ([], [])


@pytest.mark.parametrize(
    ("number", "shown"),
    [(40.0, "40"), (12000.0, "12,000"), (0.1800312, "0.180031"), (-0.5, "-0.5")],
)
def test_values_have_digits_enough(number: float, shown: str) -> None:
    assert exact(number) == shown
