"""Fault 3: several members are read to the end; anything else after them fails the shard."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, json_lines, packed, read_all, texts

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_all_members_are_read(tmp_path: Path, suffix: str) -> None:
    members = [packed(json_lines([{"text": f"{n}"}] * 3), suffix) for n in range(4)]
    (tmp_path / ("a.jsonl" + suffix)).write_bytes(b"".join(members))
    documents, quarantined = read_all(JsonLines(paths="a*"), tmp_path)
    assert texts(documents) == [f"{n}" for n in range(4) for _ in range(3)]
    assert quarantined == []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("tail", [b"x", b"\0" * 512, b'{"text": "smuggled"}\n'])
def test_trailing_garbage_fails_the_shard(tmp_path: Path, suffix: str, tail: bytes) -> None:
    (tmp_path / ("a.jsonl" + suffix)).write_bytes(packed(b'{"text": "a"}\n', suffix) + tail)
    fmt = JsonLines(paths="a*")
    [shard] = freeze(fmt, tmp_path)
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "corrupt-compression"
