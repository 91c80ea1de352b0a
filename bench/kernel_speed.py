"""What each kernel of the row filters and of MinHash costs, in nanoseconds per byte of text.

    python bench/kernel_speed.py --docs FILE.jsonl.zst... [--megabytes N]

Times are CPU seconds, the best of several runs, with compiled kernels and with every word in the
table already; the columns are files, the last one their mean.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import zstandard

from filters.gopher_quality import STOP_WORDS
from filters.gopher_repetition import GopherRepetition
from kernels.lines.lines import marks, repeated_lines, repeated_paragraphs, text_lengths
from kernels.ngrams.minhash import bands, coefficients, shingle_hashes, signatures, unique_shingles
from kernels.ngrams.ngram_bounds import ngram_bounds
from kernels.ngrams.ngrams import Ngrams, count_words
from kernels.text.normalisation import normalise
from kernels.words.words import english_words
from pipeline.documents import Docs

RUNS = 5


def texts(path: Path, most: float) -> pa.LargeStringArray:
    """The first documents of ``path``, about ``most`` bytes."""
    found: list[str] = []
    size = 0
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.BufferedReader(stream):
            found.append(orjson.loads(line)["text"])
            size += len(found[-1].encode())
            if size > most:
                break
    return pa.array(found, pa.large_string())


def kernels(text: pa.LargeStringArray) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and call of everything that is measured."""
    docs = Docs(pa.record_batch({"text": text}))
    words = docs.derive("words:en", english_words)
    rows, step = np.arange(len(docs)), GopherRepetition()

    def top(n: int) -> Any:
        return Ngrams(words).top_characters(n, rows)

    def repeated(n: int) -> Any:
        return Ngrams(words).repeated_characters(n, rows)

    yield "words", lambda: english_words(text)
    yield "text_lengths", lambda: text_lengths(text)
    yield "repeated_lines", lambda: repeated_lines(text)
    yield "repeated_paragraphs", lambda: repeated_paragraphs(text)
    yield "marks", lambda: marks(text)
    yield "count_words", lambda: count_words(words, STOP_WORDS)
    yield "ngram_bounds", lambda: ngram_bounds(words, range(5, 11), rows)
    for n in (2, 3, 4):
        yield f"top_{n}_gram", partial(top, n)
    for n in (5, 10):
        yield f"repeated_{n}_grams", partial(repeated, n)
    yield "gopher_repetition: judge", lambda: step.filter(docs)
    yield "gopher_repetition: measure", lambda: step.measure(docs)
    yield "normalise", lambda: normalise(text)
    normal = english_words(normalise(text))
    yield "shingle_hashes", lambda: shingle_hashes(normal, 5)
    shingles = shingle_hashes(normal, 5)
    yield "unique_shingles", lambda: unique_shingles(*shingles)
    unique, (a, b) = unique_shingles(*shingles), coefficients(1, 112)
    yield "signatures", lambda: signatures(*unique, a, b)
    signed = signatures(*unique, a, b)
    yield "bands", lambda: bands(signed, 14)


def seconds(call: Callable[[], Any]) -> float:
    """The least CPU time of a call, after one that may compile."""
    call()
    least = float("inf")
    for _ in range(RUNS):
        before = time.process_time()
        call()
        least = min(least, time.process_time() - before)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--docs", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--megabytes", type=float, default=3, help="of each file")
    options = parser.parse_args()
    table: dict[str, list[float]] = {}
    for path in options.docs:
        text = texts(path, options.megabytes * 1e6)
        size = len(b"".join(row.as_buffer() for row in text))
        for name, call in kernels(text):
            table.setdefault(name, []).append(seconds(call) / size * 1e9)
    names = [*(path.name.partition(".")[0][:10] for path in options.docs), "mean"]
    print(f"{'ns per byte':28}", *(f"{name:>11}" for name in names))
    for name, values in table.items():
        print(f"{name:28}", *(f"{value:11.2f}" for value in [*values, float(np.mean(values))]))


if __name__ == "__main__":
    main()
