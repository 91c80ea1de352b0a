"""``format: jsonl``: one JSON object per line, plain or compressed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from pipeline.sources.file_format import FileFormat
from pipeline.sources.json_rows import parse_row
from pipeline.sources.returning import Returning
from pipeline.sources.rows import QUARANTINE_RAW_BYTES, Row, RowError, too_long

_BOM = b"\xef\xbb\xbf"


class JsonLines(FileFormat):
    """JSON lines: one object per line, in plain files, ``.gz``, ``.zst``, ``.bz2`` or ``.xz``.

    A line that is no document (malformed JSON, invalid UTF-8, no text, ...) is quarantined with a
    code. Blank lines are no rows. ``_offset`` is the number of the line, from 0. With ``strict``
    an object that has a key twice is quarantined; without, the last one counts.
    """

    version: ClassVar[int] = 1

    strict: bool = Field(default=True, description="quarantine objects that have a key twice")

    def rows(self, path: Path, name: str) -> Generator[Row, None, str | None]:
        from pipeline.sources.decompress import read_chunks

        chunks = Returning(read_chunks(path, name, self.caps))
        for offset, (line, size) in enumerate(split_lines(chunks, self.max_row_bytes)):
            if offset == 0 and line.startswith(_BOM):
                line, size = line[len(_BOM) :], size - len(_BOM)
            if not line or line.isspace():
                continue
            yield Row(offset, self._fields(line, size), line, size)
        return chunks.value

    def _fields(self, line: bytes, size: int) -> Mapping[str, Any] | RowError:
        if size > self.max_row_bytes:
            return too_long(size, self.max_row_bytes)
        try:
            return parse_row(line, self.strict)
        except RowError as error:
            return error

    def place(self, name: str, offset: int) -> str:
        return f"{name}:{offset + 1}"


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
