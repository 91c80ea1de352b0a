"""The bench of a whole recipe adds up what the run wrote and counted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest


@pytest.fixture(scope="module")
def bench(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_pipeline", root / "bench" / "pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_copies_have_the_same_texts_in_another_order_under_ids_of_their_own(
    bench: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    rows = [{"id": str(n), "text": f"täxt {n}"} for n in range(20)]
    with pa.CompressedOutputStream(str(tmp_path / "docs" / "a.jsonl.zst"), "zstd") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    size = bench.copies(tmp_path / "docs", 2, tmp_path / "to")
    assert size == 2 * sum(len(row["text"].encode()) for row in rows)
    read = []
    for path in sorted((tmp_path / "to").iterdir()):
        with pa.CompressedInputStream(str(path), "zstd") as file:
            read.append([json.loads(line) for line in file.read().splitlines()])
    assert [len(part) for part in read] == [20, 20]
    assert len({row["id"] for part in read for row in part}) == 40
    one, other = ([row["text"] for row in part] for part in read)
    assert (one != other, sorted(one)) == (True, sorted(other))


def test_a_run_of_the_recipe_is_measured(
    bench: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    with pa.CompressedInputStream(str(shared_data / "domains" / "edu.jsonl.zst"), "zstd") as file:
        lines = file.read().splitlines(keepends=True)[:40]
    with pa.CompressedOutputStream(str(tmp_path / "docs" / "a.jsonl.zst"), "zstd") as file:
        file.write(b"".join(lines))
    found = bench.measure(tmp_path / "docs", 2, 1)
    assert found["rows"] == 80
    assert 0 < found["kept"] <= 40  # the other copy is dropped
    assert found["cpu_seconds"] > 0
    assert found["bytes_written_per_byte"] == pytest.approx(
        sum(found["written"].values()) / found["compressed_mb"] / 1e6
    )
    assert {name.split()[0] for name in found["written"]} >= {"minhash_dedup.map"}
