"""Fault 7: a file without rows fails unless the manifest allows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, packed, read_all

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("content", [None, b"", b"\n \r\n\n"])
def test_no_rows(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    """Zero bytes on disk, nothing inside, or only blank lines."""
    path = tmp_path / ("a.jsonl" + suffix)
    path.write_bytes(b"" if content is None else packed(content, suffix))
    fmt = JsonLines(paths=path.name)
    [shard] = freeze(fmt, tmp_path)
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "empty-file"
    assert "allow_empty" in caught.value.hint
    assert read_all(JsonLines(paths=path.name, allow_empty=True), tmp_path) == ([], [])
