"""Fault 6: a file whose first bytes contradict its name fails, and both are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, json_lines, packed

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines

KINDS = {"": "plain text", ".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


@pytest.mark.parametrize("named", KINDS)
@pytest.mark.parametrize("held", KINDS)
def test_both_are_named(tmp_path: Path, named: str, held: str) -> None:
    (tmp_path / ("a.jsonl" + named)).write_bytes(packed(json_lines([{"text": "a"}]), held))
    fmt = JsonLines(paths="a*")
    [shard] = freeze(fmt, tmp_path)
    if named == held:
        assert len(list(fmt.read(shard))) == 1
        return
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "wrong-format"
    for part in ("a.jsonl" + named, KINDS[named], KINDS[held]):
        assert part in caught.value.message
