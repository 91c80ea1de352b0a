"""Documents of any files, as the engine reads them, and a random sample of them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa

from pipeline.sources.file_format import FileFormat
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.parquet_files import ParquetFiles
from pipeline.sources.source import FilePart, Read, Shard
from pipeline.sources.storage import listed

# Text that a random sample holds in memory: more than datatrove gets through in half an hour.
MOST_SAMPLED = 64 * 2**20


class Item(NamedTuple):
    """A document; ``position`` counts the documents of all files."""

    position: int
    id: str
    url: str
    text: str


def reads(path: Path) -> Iterator[Read]:
    """A file in batches of the engine's sizes."""
    kind: type[FileFormat] = ParquetFiles if path.suffix == ".parquet" else JsonLines
    shard = Shard("bench", 0, (FilePart(listed(str(path), path.name)),))
    return kind(paths=str(path), max_ratio=1e9, allow_empty=True).read(shard)


def batches(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """The documents of ``files``, without the rows that the engine would quarantine."""
    for path in files:
        for read in reads(path):
            if read.documents is not None and read.documents.num_rows:
                yield read.documents


def items(files: Sequence[Path]) -> Iterator[Item]:
    position = 0
    for batch in batches(files):
        columns = (batch.column(name).to_pylist() for name in ("id", "url", "text"))
        for name, url, text in zip(*columns, strict=True):
            yield Item(position, name, url or "", text)
            position += 1


def sample(files: Sequence[Path], seed: int = 0, most: int = MOST_SAMPLED) -> list[Item]:
    """Documents in random order: all of them, or as many as ``most`` bytes of text hold."""
    draw = random.Random(seed)
    held: list[tuple[float, Item]] = []
    size = 0
    for item in items(files):
        heapq.heappush(held, (-draw.random(), item))
        size += len(item.text)
        while size > most and len(held) > 1:
            size -= len(heapq.heappop(held)[1].text)
    return [item for _, item in sorted(held, reverse=True)]


def extract(path: Path, found: Path) -> None:
    """Writes the text of a WARC file's HTML responses, as resiliparse extracts it, as JSON lines.

    OSError where the file is malformed; what came before is written.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with path.open("rb") as raw, found.open("wb") as lines:
        for record in ArchiveIterator(raw, record_types=WarcRecordType.response):
            body = record.reader.read()
            html = bytes_to_str(body, detect_encoding(body) or "utf-8")
            text = extract_plain_text(html, main_content=True)
            row = {
                "id": record.record_id,
                "url": record.headers.get("WARC-Target-URI"),
                # UTF-8 has no lone surrogates.
                "text": text.encode(errors="replace").decode(),
            }
            lines.write(orjson.dumps(row) + b"\n")
