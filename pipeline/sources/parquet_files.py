"""``format: parquet``: rows of Parquet files, streamed page by page."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.errors import Problem
from pipeline.sources.file_format import FileFormat, looked_at_files
from pipeline.sources.file_kinds import MAGIC_BYTES, PARQUET, check_kind
from pipeline.sources.rows import Row
from pipeline.sources.source import FilePart, InputFile
from pipeline.sources.storage import LOCAL, listed


class ParquetFiles(FileFormat):
    """Parquet files with a column of strings, or of binary that is UTF-8, for the text.

    Footers are read first: all files must have the same columns, and no row group may claim to
    expand to more than ``max_row_group_bytes`` or ``max_ratio`` times its size. A column that is
    null throughout a file has the type that it has in the others. Page checksums are verified where
    there are any. ``_offset`` is the number of the row in its file, from 0.
    """

    version: ClassVar[int] = 1

    max_row_group_bytes: int = Field(
        default=4 * 2**30, gt=0, description="a row group that claims to expand to more fails"
    )

    def check_files(self, files: Sequence[InputFile]) -> Iterator[Problem]:
        """Files with unreadable footers are passed over here and fail when they are read."""
        from pipeline.sources.parquet_schema import check_columns

        named = {field: getattr(self, field) for field in self._optional}
        given = {field for field in named if field in self.model_fields_set}
        names, required = {"text": self.text, **named}, {"text", *given}
        yield from check_columns(looked_at_files(files), names, required, self.storage)

    def can_split(self, file: InputFile) -> bool:
        return True

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        yield from self.part_rows(FilePart(listed(str(path), name)))

    def part_rows(self, part: FilePart) -> Generator[Row, None, str]:
        from pipeline.sources.parquet_rows import footer, parquet_rows, row_groups

        size, name = part.file.size, part.label
        columns = (self.text, self.id, self.url, self.language)
        with self.storage.open(part.file) as file:
            check_kind(file.peek(MAGIC_BYTES), name, PARQUET)
        with self.storage.on_disk(part.file) as copy:
            start, end, groups = 0, size, None
            if not part.is_whole:
                groups = row_groups(footer(copy, size), name, part.start, part.end)
                start, end = groups.start, groups.end
            path = copy.need(start, end)
            if start < end:
                caps, most = self.caps, self.max_row_group_bytes
                yield from parquet_rows(path, name, columns, caps, most, groups)
            with LOCAL.open(InputFile(str(path), name), start, end) as file:
                return file.finish()
