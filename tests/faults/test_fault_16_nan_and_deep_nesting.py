"""Fault 16: NaN, Infinity and deep nesting are quarantined, however deep."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import codes, read_all

from pipeline.sources.jsonl import JsonLines


def nested(depth: int) -> bytes:
    """An object with ``depth`` levels in all."""
    return b'{"text": "a", "x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"text": "a", "x": NaN}', "non-finite-number"),
        (b'{"text": "a", "x": [-Infinity]}', "non-finite-number"),
        (b'{"text": Infinity}', "non-finite-number"),
        (nested(65), "too-deep"),
        (nested(1_000), "too-deep"),
        (nested(500_000), "too-deep"),
        (b'{"a":' * 100_000, "too-deep"),
    ],
)
def test_the_row_is_quarantined(tmp_path: Path, line: bytes, code: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + nested(64))
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert [row["_offset"] for row in documents] == [1]
    assert codes(quarantined) == [(0, code)]
