"""Our Gopher filters against datatrove's, document by document: decisions, reasons and speed.

    python bench/gopher_agreement.py FILE.jsonl.zst|FILE.warc.gz|DIR... [--limit N] [--json]

WARC files need resiliparse, which extracts the text of every HTML response. Times are CPU seconds
of this process; ours start with compiled kernels and a word table that is empty at the first file.
Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.text import split_into_words

from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from pipeline.documents import Docs
from pipeline.step import RowStep

ROWS = 512


@dataclass
class Difference:
    """What each side says of a document: "" for kept, else the reason."""

    id: str
    filter: str
    ours: str
    datatrove: str


@dataclass
class Agreement:
    """One file. ``megabytes`` are of UTF-8 text; a decision is one filter's on one document."""

    file: str
    documents: int = 0
    decisions: int = 0
    decisions_equal: int = 0
    reasons_equal: int = 0
    megabytes: float = 0.0
    ours_seconds: float = 0.0
    datatrove_seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ours_mb_s(self) -> float:
        return self.megabytes / max(self.ours_seconds, 1e-9)

    @property
    def datatrove_mb_s(self) -> float:
        return self.megabytes / max(self.datatrove_seconds, 1e-9)

    def line(self) -> str:
        return (
            f"{self.file}: {self.documents} documents, {self.decisions_equal} of "
            f"{self.decisions} decisions and {self.reasons_equal} reasons equal, "
            f"{self.ours_mb_s:.1f} MB/s ours, {self.datatrove_mb_s:.2f} MB/s datatrove"
        )


def documents(path: Path) -> Iterator[tuple[str, str]]:
    """(id, text) of every document of a file; the position where there is no id."""
    if path.name.endswith(".jsonl.zst"):
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            for position, line in enumerate(io.BufferedReader(stream)):
                row = orjson.loads(line)
                if isinstance(row.get("text"), str):
                    yield str(row.get("id", position)), row["text"]
    else:
        yield from pages(path)


def pages(path: Path) -> Iterator[tuple[str, str]]:
    """(record id, extracted text) of every HTML response of a WARC file."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with path.open("rb") as raw:
        for record in ArchiveIterator(raw, record_types=WarcRecordType.response):
            body = record.reader.read()
            html = bytes_to_str(body, detect_encoding(body))
            text = extract_plain_text(html, main_content=True)
            # Arrow strings are UTF-8, which has no lone surrogates.
            yield record.record_id, text.encode(errors="replace").decode()


def compare(path: Path, limit: int | None) -> Agreement:
    """Both sides on the first ``limit`` documents of ``path``."""
    result = Agreement(file=path.name)
    found = islice(documents(path), limit)
    while chunk := list(islice(found, ROWS)):
        _compare_chunk(chunk, result)
    return result


def _compare_chunk(chunk: Sequence[tuple[str, str]], result: Agreement) -> None:
    # Repetition first, as in FineWeb; datatrove caches the words of the last few texts.
    pairs: list[tuple[RowStep, Any]] = [
        (GopherRepetition(), GopherRepetitionFilter()),
        (GopherQuality(), GopherQualityFilter()),
    ]
    text = pa.array([text for _, text in chunk], pa.large_string())
    before = time.process_time()
    docs = Docs(pa.record_batch({"text": text}))
    verdicts = [step.judge(docs) for step, _ in pairs]
    result.ours_seconds += time.process_time() - before
    ours = [
        ["" if keep else str(reason) for keep, reason in zip(v.keep, v.reason, strict=True)]
        for v in verdicts
    ]
    for row, (name, text_) in enumerate(chunk):
        before = time.process_time()
        theirs = [_reason(theirs, Document(text=text_, id=name)) for _, theirs in pairs]
        result.datatrove_seconds += time.process_time() - before
        result.documents += 1
        result.megabytes += len(text_.encode()) / 1e6
        for (step, _), mine, other in zip(pairs, ours, theirs, strict=True):
            result.decisions += 1
            result.decisions_equal += bool(mine[row]) == bool(other)
            result.reasons_equal += mine[row] == other
            if mine[row] != other:
                result.differences.append(Difference(name, type(step).__name__, mine[row], other))


def _reason(theirs: Any, document: Document) -> str:
    """datatrove's reason, "" when it keeps the document, its exception's name when it raises."""
    try:
        verdict = theirs.filter(document)
    except ZeroDivisionError as error:
        return type(error).__name__
    return "" if verdict is True else str(verdict[1])


def files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += (
            sorted([*path.rglob("*.jsonl.zst"), *path.rglob("*.warc.gz")])
            if path.is_dir()
            else [path]
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, help="documents of each file")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for step in (GopherRepetition(), GopherQuality()):
        step.prepare()
    # The first text with this word in it leaves spaCy's vocabulary broken for the word, and all
    # later ones are read without it. Ours treats every text as a later one.
    split_into_words("IS_ALPHA")
    results = []
    for path in files(arguments.paths):
        results.append(result := compare(path, arguments.limit))
        if not arguments.json:
            print(result.line())
            for difference in result.differences:
                print("  ", difference)
            sys.stdout.flush()
    if arguments.json:
        print(
            json.dumps(
                [
                    {**asdict(r), "ours_mb_s": r.ours_mb_s, "datatrove_mb_s": r.datatrove_mb_s}
                    for r in results
                ],
                indent=1,
            )
        )
    return int(any(result.differences for result in results))


if __name__ == "__main__":
    sys.exit(main())
