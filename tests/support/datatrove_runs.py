"""Blocks run by datatrove itself: its own executor, reader and writers, on a file of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


@dataclass(frozen=True)
class DatatroveRun:
    """``kept`` is id → text, ``metadata`` id → fields, both of kept documents; ``reasons`` is id →
    why it was dropped, None where the block gave no reason."""

    kept: Mapping[str, str]
    metadata: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, str | None]


def run_in_datatrove(
    block: PipelineStep, rows: Sequence[Mapping[str, Any]], folder: Path
) -> DatatroveRun:
    """What becomes of ``rows`` in a pipeline of datatrove's that has this one block."""
    given, kept, dropped = (folder / name for name in ("given", "kept", "dropped"))
    given.mkdir()
    (given / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    if isinstance(block, BaseFilter):
        block.exclusion_writer = JsonlWriter(str(dropped), compression=None)
    steps = [JsonlReader(str(given)), block, JsonlWriter(str(kept), compression=None)]
    LocalPipelineExecutor(steps, tasks=1, logging_dir=str(folder / "logs")).run()
    stay, gone = _read(kept), _read(dropped)
    return DatatroveRun(
        {row["id"]: row["text"] for row in stay},
        {row["id"]: _fields(row) for row in stay},
        {row["id"]: row.get("metadata", {}).get("filter_reason") for row in gone},
    )


def _read(folder: Path) -> list[dict[str, Any]]:
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return [orjson.loads(line) for line in lines]


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.get("metadata", {}).items() if k != "file_path"}
