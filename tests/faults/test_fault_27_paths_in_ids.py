"""Fault 27: an id is a label; whatever it looks like, it names no file."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import json_lines, read_all

from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize(
    "identity", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", "CON"]
)
def test_an_id_is_kept_and_touches_nothing(tmp_path: Path, identity: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines([{"id": identity, "text": "a"}]))
    before = sorted(tmp_path.rglob("*"))
    [document], _ = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert (document["id"], document["_source"]) == (identity, "a.jsonl")
    assert sorted(tmp_path.rglob("*")) == before
