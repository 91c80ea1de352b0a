from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.scores.group_thresholds import SHOWN_GROUPS
from classifiers.scores.keep import Keep
from winnow.testing import StepRun, run_global_step

TYPES = {"edu": pa.float32(), "topic": pa.large_string()}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "edu": st.one_of(st.none(), st.floats(width=32)),
            "topic": st.sampled_from([None, "", "a", "b"]),
        }
    ),
    max_size=30,
)
Rows = list[dict[str, Any]]


def run(rows: Rows, **parameters: Any) -> StepRun:
    return run_global_step(Keep(column="edu", **parameters), rows, TYPES)


def test_a_group_in_which_nothing_has_a_score_keeps_nothing() -> None:
    rows = [{"edu": 1.0, "topic": "a"}, {"edu": None, "topic": "b"}]
    ran = run(rows, top="50%", by="topic")
    assert ran.kept == ["d0"]
    assert ran.metrics["by_group"]["b"] == {
        "documents": 1,
        "no_score": 1,
        "kept": 0,
        "kept_of_scored": None,
        "kept_of_bytes": None,
    }


def test_many_groups_are_complete_in_the_artifacts_and_shortened_in_the_report() -> None:
    rows = [
        {"edu": float(n), "topic": f"t{topic:03d}"}
        for topic in range(120)
        for n in range(topic % 7 + 1)
    ]
    metrics, table = (ran := run(rows, top="10%", by="topic")).metrics, ran.tables["groups.parquet"]
    assert (metrics["groups"], metrics["groups_not_shown"]) == (120, 120 - SHOWN_GROUPS)
    assert len(metrics["by_group"]) == SHOWN_GROUPS
    sizes = [entry["documents"] for entry in metrics["by_group"].values()]
    assert sizes == sorted(sizes, reverse=True)
    assert [row["by.topic"] for row in table] == [f"t{topic:03d}" for topic in range(120)]
    assert sum(row["kept_documents"] for row in table) == metrics["kept"] == 120


def test_groups_whose_names_read_alike_are_separate() -> None:
    rows = [
        {"edu": 1.0, "source": "a, b", "topic": "c"},
        {"edu": 2.0, "source": "a", "topic": "b, c"},
    ]
    assert len(run(rows, top="50%", by=["source", "topic"]).metrics["by_group"]) == 2


@given(ROWS)
def test_artifacts_do_not_depend_on_the_order_of_documents(rows: Rows) -> None:
    one = run(rows, top="30%", by=["language", "source"], all_tied="keep")
    two = run(rows[::-1], top="30%", by=["language", "source"], all_tied="keep")
    assert one.files == two.files


@given(ROWS)
def test_artifacts_account_for_every_document(rows: Rows) -> None:
    ran = run(rows, top="40%", by="topic", all_tied="keep")
    table = ran.tables["groups.parquet"]
    assert {row["by.topic"] for row in table} == {row["topic"] for row in rows}
    assert sum(row["documents"] + row["no_score"] for row in table) == len(rows)
    assert sum(row["kept_documents"] for row in table) == len(ran.kept)
    for row in table:
        assert (row["threshold"] is None) == (row["documents"] == 0)


@pytest.mark.parametrize("score", [0.1, 2.5, 1e-45, 16_777_217.0])
def test_thresholds_are_formatted_as_people_write_them(score: float) -> None:
    threshold = run([{"edu": score}], top="50%").metrics["threshold"]
    assert np.float32(threshold) == np.float32(score)
    assert len(str(threshold)) <= 12


def test_a_threshold_that_is_not_finite_is_no_number() -> None:
    ran = run([{"edu": float("inf")}, {"edu": 1.0}], top="50%")
    assert (ran.kept, ran.metrics["threshold"]) == (["d0"], None)
