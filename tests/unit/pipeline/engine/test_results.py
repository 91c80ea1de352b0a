from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.results import add_counts, results_schema
from pipeline.engine.stage import Count, Counts

TALLY = st.builds(Count, documents=st.integers(0, 99), bytes=st.integers(0, 999))
COUNTS = st.builds(
    Counts,
    rows=st.integers(0, 99),
    expanded=st.integers(0, 9),
    kept=TALLY,
    entered=st.dictionaries(st.sampled_from("ab"), TALLY),
    dropped=st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xy"), TALLY)),
    quarantined=st.dictionaries(st.sampled_from("pq"), st.integers(1, 9)),
    by_source=st.dictionaries(st.sampled_from("mn"), TALLY),
)


@given(st.lists(COUNTS, max_size=5))
def test_sums_keep_every_row(parts: list[Counts]) -> None:
    total = add_counts(parts)
    assert total.rows == sum(part.rows for part in parts)
    assert total.kept.bytes == sum(part.kept.bytes for part in parts)
    assert sum(total.quarantined.values()) == sum(sum(p.quarantined.values()) for p in parts)
    for step in "ab":
        for reason in "xy":
            expected = sum(p.dropped.get(step, {}).get(reason, Count()).documents for p in parts)
            assert total.dropped.get(step, {}).get(reason, Count()).documents == expected


@given(st.lists(COUNTS, min_size=1, max_size=3))
def test_parts_are_left_as_they_were(parts: list[Counts]) -> None:
    before = [part.model_copy(deep=True) for part in parts]
    add_counts(parts)
    assert parts == before


def test_committed_schema_is_the_generated_one(root: Path) -> None:
    path = root / "docs" / "run_results.schema.json"
    assert json.loads(path.read_text()) == results_schema(), "run: make schemas"
