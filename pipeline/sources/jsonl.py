"""``format: jsonl``: one JSON object per line, plain or compressed."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, JsonValue

from pipeline.sources.file_format import FileFormat
from pipeline.sources.file_kinds import PLAIN, kind_by_name
from pipeline.sources.json_rows import parse_row
from pipeline.sources.rows import QUARANTINE_RAW_BYTES, Row, RowError, too_long
from pipeline.sources.source import FilePart, InputFile
from pipeline.sources.storage import HashedFile, listed

if TYPE_CHECKING:
    from pipeline.sources.line_index import Cut

_BOM = b"\xef\xbb\xbf"


class JsonLines(FileFormat):
    """JSON lines: one object per line, in plain files, ``.gz``, ``.zst``, ``.bz2`` or ``.xz``.

    A line that is no document (malformed JSON, invalid UTF-8, no text, ...) is quarantined with a
    code. Blank lines are no rows. ``_offset`` is the number of the line, from 0. With ``strict``
    an object that has a key twice is quarantined; without, the last one counts.
    """

    version: ClassVar[int] = 1

    strict: bool = Field(default=True, description="quarantine objects that have a key twice")

    def can_split(self, file: InputFile) -> bool:
        from pipeline.sources.line_index import SPLIT_KINDS

        return kind_by_name(file.path) in SPLIT_KINDS

    def needs_index(self, part: FilePart) -> bool:
        return not part.is_whole

    def find_index(self, file: InputFile, starts: Sequence[int]) -> Mapping[str, JsonValue]:
        from pipeline.sources.line_index import find_cuts

        def open_file(start: int, end: int) -> HashedFile:
            return self.storage.open(file, start, end, bounded=True, hashed=False)

        kind = kind_by_name(file.path)
        return find_cuts(open_file, kind, file.name, file.size, starts, self.caps)

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        yield from self.part_rows(FilePart(listed(str(path), name)))

    def part_rows(self, part: FilePart) -> Generator[Row, None, str]:
        from pipeline.sources.decompress import expanded, read_chunks
        from pipeline.sources.line_index import cuts_of

        path, name = part.file.path, part.label
        first, after = cuts_of(part.index, part.start, part.end)
        if first is None or first == after:
            return hashlib.sha256().hexdigest()
        end = part.file.size if after is None else after.at
        # The last line may go on in the next part.
        bounded = after is not None and after.between
        stop = after and after.at
        with self.storage.open(part.file, first.at, stop, bounded=bounded) as file:
            on_disk = end - first.at
            if first.at and kind_by_name(path) == PLAIN:
                chunks = expanded(file, PLAIN, name, self.caps, on_disk)
            else:
                chunks = read_chunks(file, path, name, self.caps, on_disk)
            lines = lines_between(chunks, first, after, self.max_row_bytes)
            for number, line, size in lines:
                if number == 0 and line.startswith(_BOM):
                    line, size = line[len(_BOM) :], size - len(_BOM)
                if line and not line.isspace():
                    yield Row(number, self._fields(line, size), line, size)
            return file.finish()

    def _fields(self, line: bytes, size: int) -> Mapping[str, Any] | RowError:
        if size > self.max_row_bytes:
            return too_long(size, self.max_row_bytes)
        try:
            return parse_row(line, self.strict)
        except RowError as error:
            return error

    def place(self, name: str, offset: int) -> str:
        return f"{name}:{offset + 1}"


def lines_between(
    chunks: Iterable[bytes], first: Cut, after: Cut | None, cap: int
) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, length) of the lines that begin from ``first`` on and before ``after``.

    ``chunks`` begin at ``first``, and go beyond ``after`` as far as the last line does.
    """
    at, number = first.text, first.lines
    for line, size in split_lines(chunks, cap):
        if after is not None and at >= after.text:
            return
        if first.between or at > first.text:
            yield number, line, size
        at += size + 1
        number += 1


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
