"""A tiny model, and documents of the shared domains as the engine hands them to steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from tiny_model import shared_tiny_model

from pipeline.documents import DOCUMENT_SCHEMA


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model, made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    return shared_tiny_model(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def read_domain(shared_data: Path) -> Callable[..., list[dict[str, Any]]]:
    """Rows of a shared file, such as ``domains/wiki``; the first ``limit``."""

    def read(name: str, limit: int | None = None) -> list[dict[str, Any]]:
        with pa.CompressedInputStream(str(shared_data / f"{name}.jsonl.zst"), "zstd") as file:
            return [orjson.loads(line) for line in file.read().splitlines()[:limit]]

    return read


@pytest.fixture(scope="session")
def as_batch() -> Callable[..., pa.RecordBatch]:
    """Texts of one source and file as documents whose offsets begin at ``start``."""

    def make(source: str, texts: list[str], start: int = 0) -> pa.RecordBatch:
        rows = [
            {
                "id": f"{source}-{offset}",
                "text": text,
                "source": source,
                "_source": f"data/{source}.jsonl",
                "_offset": offset,
            }
            for offset, text in enumerate(texts, start)
        ]
        return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)

    return make
