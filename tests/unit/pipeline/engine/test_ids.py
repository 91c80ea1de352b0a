from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.ids import EXAMPLES, CountIds
from pipeline.engine.stage import Output, Receipt, StageOutputs, TaskContext


def corpus(folder: Path, shards: list[list[str]]) -> StageOutputs:
    """StageOutputs shards that have nothing but these ids."""
    (folder / "kept").mkdir(parents=True)
    (folder / "receipts").mkdir()
    for number, ids in enumerate(shards):
        path = f"kept/{number}.parquet"
        pq.write_table(pa.table({"id": pa.array(ids, pa.large_string())}), folder / path)
        outputs = [Output(path=path, bytes=0, sha256="")]
        receipt = Receipt(stage="s", key=str(number), fingerprint="f", outputs=outputs)
        (folder / "receipts" / f"{number}.json").write_text(receipt.model_dump_json())
    return StageOutputs(folder, tuple(str(n) for n in range(len(shards))))


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=2), max_size=8), max_size=3)
)
@settings(max_examples=40)
def test_repeats_are_counted_over_all_shards(shards: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        committed = corpus(Path(folder) / "s", shards)
        metrics = CountIds(committed).run(TaskContext(Path(folder))).metrics
    counts = Counter(i for ids in shards for i in ids)
    repeated = sorted(i for i, n in counts.items() if n > 1)
    assert metrics["documents"] == sum(counts.values())
    assert metrics["duplicate_ids"] == sum(counts.values()) - len(counts)
    examples = metrics["examples"]
    assert isinstance(examples, list)
    assert set(examples) <= set(repeated)
    assert len(examples) == min(EXAMPLES, len(repeated))
