"""StageOutputs stages made by hand, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.engine.stage import KEPT, Output, Receipt, StageOutputs
from pipeline.parquet import DocumentWriter


def commit_shards(
    folder: Path, shards: Mapping[str, pa.RecordBatch | None], under: str | None = KEPT
) -> StageOutputs:
    """Receipts for one Parquet file under ``under`` for each key; a batch is written first.

    ``under=None`` makes receipts without outputs.
    """
    (folder / "receipts").mkdir(parents=True)
    for key, batch in shards.items():
        outputs = []
        if under is not None:
            path = f"{under}{key}.parquet"
            outputs = [Output(path=path, bytes=0, sha256="")]
            if batch is not None:
                with DocumentWriter(folder / path, DOCUMENT_SCHEMA) as writer:
                    writer.write(batch)
        receipt = Receipt(stage="s", key=key, fingerprint="f", outputs=outputs)
        (folder / "receipts" / f"{key}.json").write_text(receipt.model_dump_json())
    return StageOutputs(folder, tuple(shards))
