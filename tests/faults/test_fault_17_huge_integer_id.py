"""Fault 17: an integer over 64 bits is no id; elsewhere it keeps all its digits."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import codes, read_all

from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize("number", [-(2**63), 2**63, 2**64 - 1])
def test_64_bits_are_an_id(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "id": {number}}}')
    [document], _ = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert document["id"] == str(number)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_more_are_not(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "id": {number}}}\n{{"text": "b"}}')
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert len(documents) == 1
    assert codes(quarantined) == [(0, "bad-id")]
    assert str(number)[:40] in quarantined[0]["message"]


def test_elsewhere_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "n": {10**400}}}')
    [document], _ = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert document["metadata"] == f'{{"n":{10**400}}}'
