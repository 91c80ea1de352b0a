"""``format: jsonl``: one JSON object per line, plain, gzip or zstd."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from pydantic import Field

from pipeline.documents import QUARANTINE_RAW_BYTES
from pipeline.sources.batches import Batches, RowError, document_of, too_long
from pipeline.sources.decompress import Returning, read_chunks
from pipeline.sources.file_lists import FileFormat
from pipeline.sources.json_rows import parse_row
from pipeline.sources.source import Read

_BOM = b"\xef\xbb\xbf"


class JsonLines(FileFormat):
    """JSON lines: one object per line, in plain files, ``.gz`` or ``.zst``.

    A line that is no document (malformed JSON, invalid UTF-8, no text, ...) is quarantined with a
    code. Blank lines are no rows. ``_offset`` is the number of the line, from 0. With ``strict``
    an object that has a key twice is quarantined; without, the last one counts.
    """

    strict: bool = Field(default=True, description="quarantine objects that have a key twice")

    def batches(self, source: str, path: Path, name: str) -> Generator[Read, None, str]:
        chunks = Returning(read_chunks(path, name, self.caps))
        batches = Batches(source, self.max_row_bytes)
        for offset, (line, size) in enumerate(split_lines(chunks, self.max_row_bytes)):
            if offset == 0 and line.startswith(_BOM):
                line, size = line[len(_BOM) :], size - len(_BOM)
            if not line or line.isspace():
                continue
            try:
                if size > self.max_row_bytes:
                    raise too_long(size, self.max_row_bytes)
                document = document_of(parse_row(line, self.strict), self.field_names)
                batches.add(name, offset, document)
            except RowError as error:
                batches.reject(name, offset, error, line, size)
            if batches.full:
                yield batches.take()
        if batches.rows:
            yield batches.take()
        return chunks.value


def split_lines(chunks: Iterable[bytes], cap: int) -> Iterator[tuple[bytes, int]]:
    """(line without its line feed, its length in bytes) for every line of ``chunks``.

    Of a line longer than ``cap`` only the beginning (64 KiB or more) is kept, so memory stays flat
    however long it is.
    """
    held, length = b"", 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        length += len(first)
        if length <= cap:
            held += first
        else:
            held = (held + first)[:QUARANTINE_RAW_BYTES]
        if others:
            yield held, length
            *whole, held = others
            for line in whole:
                yield line, len(line)
            length = len(held)
    if length:
        yield held, length
