"""What formats that read files share: a format says how a file becomes rows, and no more."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Problem, Refusal, ShardError, WinnowError
from pipeline.sources.caps import Caps
from pipeline.sources.fields import FieldNames, FieldsSeen, document_of, has_field
from pipeline.sources.input_files import InputFile, list_files
from pipeline.sources.returning import Returning
from pipeline.sources.rows import MAX_ROW_BYTES, Row, RowError, to_json
from pipeline.sources.source import Read, Shard, SourceFormat

if TYPE_CHECKING:
    from pipeline.engine.cache import Cache
    from pipeline.sources.batches import Batches
    from pipeline.step import ManifestView

# Rows in which a field is looked for before it counts as missing: of each file, and of all files.
# Rows of files without the field are read at every plan, so there are not many more.
LOOKED_AT_IN_FILE = 1_000
LOOKED_AT = 20_000


class FileFormat(SourceFormat):
    """What formats that read files share. One file is one shard.

    A format yields the rows of a file from ``rows``. ``paths`` is a glob or a list of them,
    relative to the manifest. ``text``, ``id``, ``url`` and ``language`` name fields of the rows,
    ``meta.url`` a field within another; all other fields go to ``metadata``. A row without an id
    gets ``source/file#offset``. Rows over ``max_row_bytes`` are quarantined. A file that expands to
    more than ``max_bytes``, or (past 64 MiB) to more than ``max_ratio`` times its size, fails.
    Links that lead out of the folder a glob starts in are refused unless ``follow_links``.
    """

    selecting: ClassVar[frozenset[str]] = SourceFormat.selecting | {"paths", "follow_links"}
    # What the manifest calls fields of rows, beside the text.
    _optional: ClassVar[tuple[str, ...]] = ("id", "url", "language")

    paths: str | list[str] = Field(
        description="a glob or a list of them, from the manifest's folder"
    )
    text: str = Field(default="text", description="field that holds the text")
    id: str = Field(default="id", description="field that holds the id")
    url: str = Field(default="url", description="field that holds the URL")
    language: str = Field(default="language", description="field that holds the language")
    follow_links: bool = Field(default=False, description="read links that lead out of the folder")
    max_row_bytes: int = Field(
        default=16 * 2**20, gt=0, le=MAX_ROW_BYTES, description="longer rows are quarantined"
    )
    max_bytes: int = Field(
        default=64 * 2**30, gt=0, description="a file that expands to more bytes fails"
    )
    max_ratio: float = Field(
        default=200, ge=1, description="a file that expands to more times its size fails"
    )

    @model_validator(mode="after")
    def _each_field_once(self) -> FileFormat:
        names = [self.text, self.id, self.url, self.language]
        if len(set(names)) < len(names):
            raise ValueError(f"text, id, url and language must be four fields, not {names}")
        return self

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        """The rows of a file, good and bad, in their order.

        ``name`` is what users see of the path. A generator may return the sha256 of what it has
        read; the file is read again for it otherwise. Raises ShardError when no more can be read.
        """
        raise NotImplementedError(f"{type(self).__name__}.rows")

    @property
    def field_names(self) -> FieldNames:
        return FieldNames(self.text, self.id, self.url, self.language)

    @property
    def caps(self) -> Caps:
        return Caps(self.max_bytes, self.max_ratio)

    def check(self, view: ManifestView) -> Iterator[Problem]:
        listing = list_files(view.folder, self._patterns(), self.follow_links)
        if not self._patterns():
            yield Problem(("paths",), "no-files", "paths is empty", "name files to read")
        for problem in listing.problems:
            place = ("paths",) if isinstance(self.paths, str) else ("paths", *problem.path)
            yield Problem(place, problem.code, problem.message, problem.hint)
        if not listing.problems:
            yield from self.check_files(listing.files)

    def check_files(self, files: Sequence[InputFile]) -> Iterator[Problem]:
        """What keeps the files from being one source: fields that are named and in no row."""
        named = ["text", *(field for field in self._optional if field in self.model_fields_set)]
        missing = {field: getattr(self, field) for field in named}
        seen, looked_at = FieldsSeen(), 0
        for file in files:
            for row in self._first_rows(file):
                looked_at += 1
                seen.add(row)
                found = [field for field, name in missing.items() if has_field(row, name)]
                for field in found:
                    del missing[field]
                if not missing:
                    return
            if looked_at >= LOOKED_AT:
                break
        if seen.names:
            for field, name in missing.items():
                yield seen.missing(field, name)

    def _first_rows(self, file: InputFile) -> Iterator[Mapping[str, object]]:
        try:
            for row in islice(self._rows(file.path, file.name), LOOKED_AT_IN_FILE):
                if not isinstance(row.fields, RowError):
                    yield row.fields
        except (ShardError, OSError):
            return  # the file fails when it is read, with this error

    def _patterns(self) -> list[str]:
        return [self.paths] if isinstance(self.paths, str) else self.paths

    def freeze(self, name: str, folder: Path, digests: Cache) -> list[Shard]:
        listing = list_files(folder, self._patterns(), self.follow_links)
        for wrong in listing.problems:
            raise Refusal(wrong.code, f"source {name!r}: {wrong.message}", wrong.hint)
        return [_shard(name, n, file, digests) for n, file in enumerate(listing.files)]

    def read(self, shard: Shard) -> Iterator[Read]:
        [(file, digest)], [name] = shard.files, shard.names
        try:
            yield from self._read(shard.source, Path(file), name, digest)
        except OSError as error:
            raise unreadable(name, error) from error

    def _read(self, source: str, path: Path, name: str, digest: str) -> Iterator[Read]:
        met = 0
        batches = Returning(self.batches(source, path, name))
        try:
            for read in batches:
                met += read.rows
                yield read
        except ShardError:
            # A file that someone is writing to looks damaged; say what it really is.
            check_unchanged(name, digest, sha256_file(path))
            raise
        check_unchanged(name, digest, batches.value or sha256_file(path))
        if not met and not self.allow_empty:
            raise ShardError(
                "empty-file",
                f"{name}: no rows in {path.stat().st_size} bytes",
                "take it out of paths, or set allow_empty: true",
            )

    def batches(self, source: str, path: Path, name: str) -> Generator[Read, None, str | None]:
        """The file in bounded batches; returns what ``rows`` returns."""
        from pipeline.sources.batches import Batches

        batches, expanded = Batches(source, self.max_row_bytes), 0
        names, caps, on_disk = self.field_names, self.caps, path.stat().st_size
        rows = Returning(self._rows(path, name))
        for row in rows:
            expanded += _add(batches, name, row, names)
            caps.check(name, expanded, on_disk)
            if batches.full:
                yield batches.take()
        if batches.rows:
            yield batches.take()
        return rows.value

    def _rows(self, path: Path, name: str) -> Generator[Row, None, str | None]:
        """``rows``; whatever it raises on its own becomes an error of this file."""
        offset = -1
        rows = Returning(self.rows(path, name))
        try:
            for row in rows:
                offset = row.offset
                yield row
        except (WinnowError, OSError):
            raise
        except Exception as error:
            kind = type(self)
            raise ShardError(
                "format-failed",
                f"{name}: {kind.__name__}.rows failed after {offset + 1} rows: "
                f"{type(error).__name__}: {error}",
                f"mend {kind.__module__}, or yield a RowError for rows that are bad",
            ) from error
        return rows.value


def _add(batches: Batches, name: str, row: Row, names: FieldNames) -> int:
    """Take a row as a document or to quarantine; returns the bytes of the document."""
    offset, fields, raw, raw_bytes = row
    if isinstance(fields, RowError):
        batches.reject(name, offset, fields, raw, raw_bytes)
        return 0
    try:
        return batches.add(name, offset, document_of(fields, names))
    except RowError as error:
        raw = raw or to_json(dict(fields))
        batches.reject(name, offset, error, raw, raw_bytes)
        return 0


def check_unchanged(name: str, frozen: str, found: str) -> None:
    """Raises ShardError ``input-changed`` when the two digests differ."""
    if frozen != found:
        raise ShardError(
            "input-changed",
            f"{name}: digest mismatch, {found[:12]} is not the planned {frozen[:12]}",
            "leave the input alone while it is read, and run again to plan with what is there now",
        )


def unreadable(name: str, error: OSError) -> ShardError:
    return ShardError("unreadable", f"{name}: {error.strerror}", "check that it is still there")


def _shard(source: str, number: int, file: InputFile, digests: Cache) -> Shard:
    try:
        digest, size = digests.digest(file.path), file.path.stat().st_size
    except OSError as error:
        raise Refusal(
            "unreadable", f"source {source!r}: {file.name}: {error.strerror}", "check permissions"
        ) from error
    return Shard(source, number, ((str(file.path.absolute()), digest),), (file.name,), size)
