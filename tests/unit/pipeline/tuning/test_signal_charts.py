from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_fixtures import between, stored

from pipeline.report.charts import svg
from pipeline.tuning.effects import effects_of, tune
from pipeline.tuning.signal_charts import RULES_IN_OVERLAP, bars, histograms, overlap

values = st.lists(
    st.floats(-1e6, 1e6) | st.integers(0, 30).map(float) | st.just(np.nan), min_size=1, max_size=60
)
limits = st.lists(
    st.tuples(st.sampled_from("≥≤"), st.floats(-100, 100) | st.integers(-5, 30).map(float)),
    max_size=2,
)


@given(values, limits)
@settings(max_examples=150)
def test_every_document_is_in_a_bar_of_its_side(
    found: list[float], given_limits: list[tuple[str, float]]
) -> None:
    array = np.array(found)
    drawn = bars(array, given_limits)
    finite = array[np.isfinite(array)]
    if drawn is None:
        assert not len(finite)
        return
    assert (np.diff(drawn.edges) > 0).all()
    gone = np.zeros(len(finite), bool)
    for sign, limit in given_limits:
        gone |= finite < limit if sign == "≥" else finite > limit
    assert (drawn.kept.sum(), drawn.removed.sum()) == ((~gone).sum(), gone.sum())


def test_counts_get_a_bar_each_around_their_value() -> None:
    drawn = bars(np.array([0.0, 1, 1, 2, 5]), [("≥", 2)], [("≤", 4)])
    assert drawn is not None
    assert drawn.edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert (drawn.cuts, drawn.old_cuts) == ((1.5,), (4.5,))
    assert drawn.removed.tolist() == [1, 2, 0, 0, 0, 0]
    assert drawn.kept.tolist() == [0, 0, 1, 0, 0, 1]


def test_a_long_tail_is_drawn_on_a_logarithmic_axis() -> None:
    drawn = bars(np.array([0.0, *range(10, 200), 50_000]), [("≥", 50), ("≤", 100_000)])
    assert drawn is not None
    assert drawn.is_log
    assert drawn.edges[0] > 0
    assert drawn.cuts == (50, pytest.approx(100_000))
    assert drawn.removed.sum() == 41
    assert drawn.kept.sum() == 151


def test_a_lower_limit_below_all_values_is_inside_of_a_logarithmic_axis() -> None:
    drawn = bars(np.array([0.0, *range(20, 200), 50_000]), [("≥", 1)])
    assert drawn is not None
    assert drawn.is_log
    assert drawn.edges[0] < drawn.cuts[0] < drawn.edges[-1]
    assert drawn.removed.sum() == 1


def test_a_limit_on_an_edge_leaves_no_bar_that_cannot_be_seen() -> None:
    array = np.linspace(0, 1, 1001)
    for limit in (0.25, 0.3, 0.5, 1.0):
        drawn = bars(array, [("≤", limit)])
        assert drawn is not None
        width = np.diff(drawn.edges)
        assert width.min() > width.max() / 50
        assert not (drawn.kept.astype(bool) & drawn.removed.astype(bool)).any()


def test_limits_outside_of_the_values_are_in_the_picture() -> None:
    drawn = bars(np.array([0.1, 0.2]), [("≤", 0.9)], [("≤", 0.95)])
    assert drawn is not None
    assert drawn.edges[-1] > 0.95
    assert not drawn.removed.any()


def test_histograms_show_limits_now_and_before(measured_once: Path) -> None:
    tuned = tune(measured_once, ["steps.Sized.least=8"], measured_once.parent / "out")
    chart = histograms(tuned, tuned.now.filters[0])
    assert chart is not None
    assert "length: " in chart.alt
    assert "≥ 8, ≤ 40 (was ≥ 5)" in chart.alt
    assert svg(chart.spec, chart.alt, "f-").startswith("<svg")
    dashes = [row["dash"] for row in _values(chart.spec) if "dash" in row]
    assert sorted(dashes) == ["before", "now", "now", "now"]


def _values(node: object) -> list[dict[str, object]]:
    """All data in a specification."""
    if isinstance(node, dict):
        if isinstance(node.get("values"), list) and node["values"]:
            own = [row for row in node["values"] if isinstance(row, dict)]
        else:
            own = []
        return own + [row for part in node.values() for row in _values(part)]
    if isinstance(node, list) and not (node and "from" in str(node[0])[:10]):
        return [row for part in node for row in _values(part)]
    return []


def test_steps_without_limits_have_no_histogram(measured_once: Path) -> None:
    tuned = tune(measured_once, (), measured_once.parent / "out")
    assert histograms(tuned, tuned.now.filters[2]) is None


def test_overlap_counts_documents_of_two_rules() -> None:
    signals = {"a.n": [1.0, 1, 9, 9], "b.n": [1.0, 1, 1, 9]}
    found = effects_of(stored(signals), [between("a", low=5), between("b", low=5)])
    chart = overlap(list(found.rules()))
    assert chart is not None
    cells = {
        (row["row"], row["column"]): row["documents"]
        for row in _values(dict(chart.spec))
        if "row" in row
    }
    assert cells == {
        ("b: low", "b: low"): 3,
        ("b: low", "a: low"): 2,
        ("a: low", "b: low"): 2,
        ("a: low", "a: low"): 2,
    }
    assert "100% of the documents that break a: low break b: low too" in chart.alt
    assert svg(chart.spec, chart.alt, "o-").startswith("<svg")


def test_rules_with_one_reason_are_one_row_of_the_overlap() -> None:
    found = effects_of(
        stored({"a.n": [1.0, 9, 5, 5], "b.n": [5.0, 9, 1, 5]}),
        [between("a", low=3, high=7), between("b", low=3)],
    )
    rules = [replace(e, rule=replace(e.rule, reason="range")) for e in found.rules()]
    chart = overlap(rules)
    assert chart is not None
    cells = {
        (row["row"], row["column"]): row["documents"]
        for row in _values(dict(chart.spec))
        if "row" in row
    }
    assert cells == {("a: range", "a: range"): 2, ("b: range", "b: range"): 1}
    assert "no document breaks two of them" in chart.alt


def test_overlap_needs_two_rules_that_are_broken_and_shows_the_largest() -> None:
    found = effects_of(stored({"a.n": [1.0, 9]}), [between("a", low=5, high=20)])
    assert overlap(list(found.rules())) is None
    many = {f"s{n}.n": [1.0] * (n + 1) + [9.0] * (30 - n) for n in range(25)}
    found = effects_of(stored(many), [between(f"s{n}", low=5) for n in range(25)])
    chart = overlap(list(found.rules()))
    assert chart is not None
    rows = {row["row"] for row in _values(dict(chart.spec)) if "row" in row}
    assert rows == {f"s{n}: low" for n in range(25 - RULES_IN_OVERLAP, 25)}
