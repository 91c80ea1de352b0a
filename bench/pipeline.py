"""The FineWeb recipe from reading to written result, on copies of real text.

    python bench/pipeline.py --docs FOLDER [--copies N] [--workers N] [--json]

FOLDER holds ``.jsonl.zst`` files whose rows have ``id`` and ``text``. Each copy has its rows in
another order and ids of its own; it is compressed by zstd at its default level. The run is one of
the command line, in processes of its own, with kernels compiled by a run before it on one copy.

``MB`` is of UTF-8 text in the rows. ``cpu_seconds`` are those of all processes, ``peak_mb`` is the
largest resident size of any of them, and ``bytes_written_per_byte`` is what the store holds after
the run by the size of the compressed input.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "pipeline":
    # A script in this folder imports the package of this name, and finds this file first.
    __path__ = [str(ROOT / "pipeline")]
RECIPE = ROOT / "manifests" / "fineweb.yaml"


def copies(documents: Path, number: int, to: Path) -> int:
    """Write ``number`` copies of each file of ``documents``; returns the bytes of text in them."""
    to.mkdir()
    size = 0
    for path in sorted(documents.glob("*.jsonl.zst")):
        with pa.CompressedInputStream(str(path), "zstd") as file:
            rows = [json.loads(line) for line in file.read().splitlines()]
        text = sum(len(row["text"].encode()) for row in rows)
        for copy in range(number):
            random.Random(copy).shuffle(rows)
            name = f"{copy:02d}-{path.name}"
            with pa.CompressedOutputStream(str(to / name), "zstd") as file:
                for row in rows:
                    made = {**row, "id": f"{copy}/{row['id']}"}
                    file.write(json.dumps(made, ensure_ascii=False).encode() + b"\n")
            size += text
    if not size:
        raise SystemExit(f"{documents}: no *.jsonl.zst with text")
    return size


def run(data: Path, folder: Path, workers: int) -> dict[str, Any]:
    """One run of the recipe on ``data``: seconds, memory and stages."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipeline.cli", "run", str(RECIPE), "--output", folder / "out"]
    command += ["--set", f"executor.workers={workers}", "--set", f"store={folder / 'store'}"]
    environment = {**os.environ, "WINNOW_DATA": str(data), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = json.loads((folder / "out" / "run_results.json").read_text())
    return {
        "wall_seconds": wall,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1024,
        "stages": {stage["name"]: stage["seconds"] for stage in results["stages"]},
        "rows": results["documents"]["rows"],
        "kept": results["documents"]["kept"]["documents"],
    }


def written(folder: Path) -> dict[str, int]:
    """Bytes of committed files by stage and folder, from the receipts."""
    found: dict[str, int] = {}
    for path in (folder / "store" / "tasks").glob("*/*/receipt.json"):
        receipt = json.loads(path.read_text())
        for output in receipt["outputs"]:
            name = f"{receipt['stage']} {output['path'].split('/')[0]}"
            found[name] = found.get(name, 0) + output["bytes"]
    return dict(sorted(found.items()))


def measure(documents: Path, number: int, workers: int) -> dict[str, Any]:
    """The figures of one run over ``number`` copies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copies(documents, 1, folder / "one")
        run(folder / "one", folder / "warm", workers)
        size = copies(documents, number, folder / "data")
        compressed = sum(path.stat().st_size for path in (folder / "data").iterdir())
        found = run(folder / "data", folder / "run", workers)
        outputs = written(folder / "run")
        return {
            "text_mb": size / 1e6,
            "compressed_mb": compressed / 1e6,
            **found,
            "mb_per_cpu_second": size / 1e6 / found["cpu_seconds"],
            "mb_per_second": size / 1e6 / found["wall_seconds"],
            "written": outputs,
            "bytes_written_per_byte": sum(outputs.values()) / compressed,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--docs", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.docs, asked.copies, asked.workers)
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['text_mb']:.0f} MB of text in {found['rows']:,} rows, {found['kept']:,} kept")
    print(
        f"{found['wall_seconds']:.1f} s, {found['cpu_seconds']:.1f} CPU s: "
        f"{found['mb_per_second']:.1f} MB/s, {found['mb_per_cpu_second']:.1f} MB per CPU second; "
        f"largest process {found['peak_mb']:.0f} MB"
    )
    print("\n| stage | s | share |\n| --- | --- | --- |")
    for name, seconds in found["stages"].items():
        print(f"| {name} | {seconds:.1f} | {100 * seconds / found['wall_seconds']:.0f} % |")
    print("\n| written | MB |\n| --- | --- |")
    for name, size in found["written"].items():
        print(f"| {name} | {size / 1e6:.1f} |")
    print(f"\n{found['bytes_written_per_byte']:.2f} bytes written per byte of compressed input")


if __name__ == "__main__":
    main()
