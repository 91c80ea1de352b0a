from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_fixtures import between, stored

from pipeline.tuning.samples import Border, borders, fetched, of_filter, turned, value
from pipeline.tuning.tuning import judge, tune


def border(values: list[float], count: int, **limits: float) -> Border:
    measurements = stored({"s.n": values})
    (filter_,) = judge(measurements, [between("s", **limits)]).filters
    (found,) = borders(measurements, filter_.rulings[0], count)
    return found


def test_the_nearest_on_both_sides_come_first() -> None:
    found = border([1, 50, 49, 51, 90, 48, np.nan], 2, low=50)
    assert (found.removed, found.kept) == ((2, 5), (1, 3))
    assert (found.sign, found.limit) == ("≥", 50)


def test_what_equals_an_upper_limit_stays() -> None:
    found = border([0.3, 0.31, 0.1], 1, high=0.3)
    assert (found.removed, found.kept) == ((1,), (0,))


def test_ties_are_not_all_from_the_beginning() -> None:
    found = border([1.0] * 1000, 4, high=2)
    assert len(set(found.kept)) == 4
    assert max(found.kept) > 100
    assert found.kept == border([1.0] * 1000, 4, high=2).kept, "and always the same"


def test_rules_without_a_limit_have_no_border() -> None:
    measurements = stored({}, {"s": ["", "gone"]})
    (filter_,) = judge(measurements, [between("s")]).filters
    assert filter_.rulings == ()


@given(
    st.lists(st.integers(-9, 9) | st.just(np.nan), min_size=1, max_size=30),
    st.integers(-9, 9),
    st.booleans(),
)
@settings(max_examples=60)
def test_nobody_else_is_nearer(values: list[float], limit: int, lower: bool) -> None:
    found = border(values, 3, **{"low" if lower else "high": limit})
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
    assert [b.ruling.rule.reason for b in of_filter(tuned, sized, 1)] == ["long", "short", "letter"]
    assert [b.ruling.rule.reason for b in of_filter(tuned, trim, 1)] == ["wordy"]
    assert of_filter(tuned, loud, 1) == []


def test_documents_that_turn_are_found_and_fetched(measured_once: Path) -> None:
    overrides = ["steps.Sized.least=4", "steps.Trim.most=2"]
    tuned = tune(measured_once, overrides, measured_once.parent / "out")
    gained, lost = turned(tuned, 9)
    assert {row["id"] for row in fetched(tuned.stored, gained)} == {"a1-0", "a2-2"}
    assert {row["id"] for row in fetched(tuned.stored, lost)} == {"a1-1", "b1-0"}
    again = tune(measured_once, (), measured_once.parent / "out")
    assert turned(again, 9) == ([], [])


@pytest.mark.parametrize(
    ("number", "shown"),
    [(40.0, "40"), (12000.0, "12,000"), (0.1800312, "0.180031"), (-0.5, "-0.5")],
)
def test_values_have_digits_enough(number: float, shown: str) -> None:
    assert value(number) == shown
