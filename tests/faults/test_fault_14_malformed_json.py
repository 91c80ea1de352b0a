"""Fault 14: a malformed line is quarantined with its bytes and counted; the others are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import codes, read_all, texts

from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "malformed-json"),
        (b'{"text": "a"', "malformed-json"),
        (b'{"text": "a",}', "malformed-json"),
        (b"{'text': 'a'}", "malformed-json"),
        (b'{"text": "a"} {"text": "b"}', "malformed-json"),
        (b'{"text": "a\tb"}', "malformed-json"),
        (b"\0\0\0\0", "malformed-json"),
        (b'{"text": "\\x41"}', "malformed-json"),
        (b'["text"]', "not-an-object"),
        (b'"text"', "not-an-object"),
        (b"null", "not-an-object"),
        (b"{}", "missing-text"),
        (b'{"text": null}', "missing-text"),
        (b'{"text": ["a"]}', "missing-text"),
    ],
)
def test_one_line(tmp_path: Path, line: bytes, code: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\n' + line + b'\n{"text": "two"}\n')
    documents, quarantined = read_all(JsonLines(paths="a.jsonl"), tmp_path)
    assert texts(documents) == ["one", "two"]
    assert codes(quarantined) == [(1, code)]
    assert (quarantined[0]["raw"], quarantined[0]["raw_bytes"]) == (line, len(line))
    assert quarantined[0]["message"]
