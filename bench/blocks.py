"""The step `datatrove` beside winnow's own steps with the same decisions, and the block alone.

CPU seconds of one process, on the first megabytes of each file of JSON lines (zstd); both sides
have seen a document before.

    python bench/blocks.py --docs FILE… [--megabytes 1]
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import zstandard
from datatrove.data import Document

from filters.block_classes import find_block
from filters.block_runs import BlockRun
from pipeline.documents import Docs
from winnow import filters
from winnow.testing import documents, warm_up

# Winnow's step and its parameters → the block and its arguments.
PAIRS = [
    ("gopher_repetition", {}, "GopherRepetitionFilter", {}),
    ("gopher_quality", {}, "GopherQualityFilter", {}),
    ("c4_quality", {}, "C4QualityFilter", {}),
    ("fineweb_quality", {}, "FineWebQualityFilter", {}),
    ("c4_paragraphs", {}, "C4ParagraphFilter", {}),
    ("repair", {}, "FTFYFormatter", {}),
    ("regex", {"regex_exp": "lorem ipsum"}, "RegexFilter", {"regex_exp": "lorem ipsum"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", nargs="+", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=1.0)
    given = parser.parse_args()
    texts = [text for path in given.docs for text in read(path, int(given.megabytes * 1e6))]
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} documents, {size:.1f} MB\n")
    print("| step | block | own MB/s | as a step MB/s | block alone MB/s | own / as a step |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, parameters, block, arguments in PAIRS:
        own = getattr(filters, name)(**parameters).step
        step = filters.datatrove(block=block, **arguments).step
        warm_up([own, step])
        alone = BlockRun(find_block(block, Path())(**arguments), None).block
        docs = Docs(documents(texts))
        speeds = [
            size / seconds(lambda own=own, docs=docs: own.filter(docs)),
            size / seconds(lambda step=step, docs=docs: step.filter(docs)),
            size / seconds(lambda alone=alone: run_alone(alone, texts)),
        ]
        cells = [name, block, *(f"{speed:.2f}" for speed in speeds), f"{speeds[0] / speeds[1]:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def read(path: Path, limit: int) -> list[str]:
    """Texts of the first ``limit`` bytes."""
    found, total = [], 0
    with path.open("rb") as raw:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw)):
            text: str = orjson.loads(line)["text"]
            total += len(text.encode())
            if total > limit:
                break
            found.append(text)
    return found


def run_alone(block: object, texts: list[str]) -> None:
    """The block's method on each text, with nothing around it."""
    if hasattr(block, "format"):
        for text in texts:
            block.format(text)
    else:
        for text in texts:
            block.filter(Document(text, ""))  # type: ignore[attr-defined]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    pa.set_cpu_count(1)
    main()
