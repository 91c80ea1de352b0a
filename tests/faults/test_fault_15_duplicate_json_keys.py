"""Fault 15: an object that has a key twice is quarantined in strict mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import codes, read_all, texts

from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a", "text": "b"}',
        b'{"text": "b", "meta": {"x": 1, "x": 1}}',
        b'{"text" : "a", "t\\u0065xt" : "b"}',
    ],
)
def test_strict_and_not(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(line)
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert (documents, codes(quarantined)) == ([], [(0, "duplicate-keys")])
    documents, quarantined = read_all(JsonLines(paths="a.jsonl", strict=False), tmp_path)
    assert (texts(documents), quarantined) == (["b"], [])


def test_keys_in_the_text_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(rb'{"text": "{\"text\": 1, \"text\": 2}", "n": {"text": 3}}')
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert (len(documents), quarantined) == (1, [])
