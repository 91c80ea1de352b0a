from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import Write, committed

from pipeline.engine.ids import EXAMPLES, CountIds
from pipeline.engine.stage import StageOutputs, TaskContext


def corpus(folder: Path, shards: list[list[str]]) -> StageOutputs:
    """Shards that have nothing but these ids."""

    def writes(ids: list[str]) -> Write:
        table = pa.table({"id": pa.array(ids, pa.large_string())})

        def write(out: Path) -> None:
            (out / "kept").mkdir()
            pq.write_table(table, out / "kept" / "ids.parquet")

        return write

    return committed(folder, {str(n): writes(ids) for n, ids in enumerate(shards)})


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=2), max_size=8), max_size=3)
)
@settings(max_examples=40)
def test_repeats_are_counted_over_all_shards(shards: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        outputs = corpus(Path(folder) / "s", shards)
        metrics = CountIds(outputs).run(TaskContext(Path(folder))).metrics
    counts = Counter(i for ids in shards for i in ids)
    repeated = sorted(i for i, n in counts.items() if n > 1)
    assert metrics["documents"] == sum(counts.values())
    assert metrics["duplicate_ids"] == sum(counts.values()) - len(counts)
    examples = metrics["examples"]
    assert isinstance(examples, list)
    assert set(examples) <= set(repeated)
    assert len(examples) == min(EXAMPLES, len(repeated))
