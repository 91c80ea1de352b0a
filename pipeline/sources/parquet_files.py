"""``format: parquet``: rows of Parquet files, streamed page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.errors import Problem
from pipeline.sources.file_format import FileFormat
from pipeline.sources.file_kinds import PARQUET, check_kind
from pipeline.sources.input_files import InputFile
from pipeline.sources.rows import Row


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
        yield from check_columns(files, {"text": self.text, **named}, {"text", *given})

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        from pipeline.sources.parquet_rows import parquet_rows

        if not path.stat().st_size:
            return
        check_kind(path, name, PARQUET)
        columns = (self.text, self.id, self.url, self.language)
        yield from parquet_rows(path, name, columns, self.caps, self.max_row_group_bytes)
