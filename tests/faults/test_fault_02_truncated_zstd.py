"""Fault 2: a zstd file that ends early fails its shard, wherever it was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, json_lines, packed

from pipeline.errors import ShardError
from pipeline.sources.jsonl import JsonLines

ROWS = json_lines({"text": f"row {n}"} for n in range(12))


def test_a_cut_at_any_byte_fails_the_shard(tmp_path: Path) -> None:
    """Frozen after the cut, so that only the decoder can notice."""
    whole = packed(ROWS, ".zst")
    path = tmp_path / "a.jsonl.zst"
    fmt = JsonLines(paths=path.name)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        [shard] = freeze(fmt, tmp_path)
        with pytest.raises(ShardError) as caught:
            list(fmt.read(shard))
        assert caught.value.code in ("corrupt-compression", "wrong-format", "empty-file")
        assert path.name in caught.value.message


def test_a_cut_in_the_second_member_fails_it_too(tmp_path: Path) -> None:
    """At the border itself nothing can be seen in the file; its digest shows it (fault 29)."""
    member = packed(ROWS, ".zst")
    path = tmp_path / "a.jsonl.zst"
    fmt = JsonLines(paths=path.name)
    for size in range(1, len(member)):
        path.write_bytes(member + member[:size])
        [shard] = freeze(fmt, tmp_path)
        with pytest.raises(ShardError) as caught:
            list(fmt.read(shard))
        assert caught.value.code == "corrupt-compression"
