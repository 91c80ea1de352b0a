"""Documents for tests: batches of what a test names, with the rest made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA


def documents(
    rows: Sequence[str | Mapping[str, Any]],
    types: Mapping[str, pa.DataType] | None = None,
    *,
    source: str = "web",
    first: int = 0,
) -> pa.RecordBatch:
    """A batch of documents, each given by its text or by its fields; the other fields are made up.

    Ids are ``d0``, ``d1`` and so on from ``first``. ``types`` are those of columns beyond a
    document's own, as earlier steps add them.
    """
    made = [
        {
            "id": f"d{offset}",
            "text": "text",
            "source": source,
            "_source": f"{source}.jsonl",
            "_offset": offset,
            **({"text": row} if isinstance(row, str) else row),
        }
        for offset, row in enumerate(rows, first)
    ]
    added = [pa.field(name, kind) for name, kind in (types or {}).items()]
    return pa.RecordBatch.from_pylist(made, schema=pa.schema([*DOCUMENT_SCHEMA, *added]))
