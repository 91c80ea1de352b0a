"""What formats that read files share: a format says how a file becomes rows, and no more."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, JsonValue, PrivateAttr, model_validator

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Problem, Refusal, ShardError, WinnowError
from pipeline.sources.caps import Caps
from pipeline.sources.fields import FieldNames, FieldsSeen, document_of, has_field
from pipeline.sources.input_files import Listing, list_files
from pipeline.sources.returning import Returning
from pipeline.sources.rows import MAX_ROW_BYTES, Row, RowError, to_json
from pipeline.sources.shards import pack, split
from pipeline.sources.source import FilePart, InputFile, Read, Shard, SourceFormat
from pipeline.sources.storage import Storage, is_url

if TYPE_CHECKING:
    from pipeline.sources.batches import Batches
    from pipeline.step import ManifestView

# Rows in which a field is looked for before it counts as missing: of each file, and of all files.
# Rows of files without the field are read at every plan, so there are not many more. Files in which
# fields are looked for; opening one that is not on this machine takes a tenth of a second.
LOOKED_AT_IN_FILE = 1_000
LOOKED_AT = 20_000
LOOKED_AT_FILES = 64


class FileFormat(SourceFormat):
    """What formats that read files share.

    A format yields the rows of a file from ``rows``. ``paths`` is a glob or a list of them,
    relative to the manifest. ``text``, ``id``, ``url`` and ``language`` name fields of the rows,
    ``meta.url`` a field within another; all other fields go to ``metadata``. A row without an id
    gets ``source/file#offset``. Rows over ``max_row_bytes`` are quarantined. A file that expands to
    more than ``max_bytes``, or (past 64 MiB) to more than ``max_ratio`` times its size, fails.
    Files far over ``shard_bytes`` are split into shards of about that size, where their format can
    be read from the middle; files under ``pack_bytes`` share one. Neither changes a document. Links
    that lead out of the folder a glob starts in are refused unless ``follow_links``.
    """

    selecting: ClassVar[frozenset[str]] = SourceFormat.selecting | {
        "paths", "storage_options", "follow_links", "shard_bytes", "pack_bytes",
    }  # fmt: skip
    # What the manifest calls fields of rows, beside the text.
    _optional: ClassVar[tuple[str, ...]] = ("id", "url", "language")

    paths: str | list[str] = Field(
        description="a glob or a list of them, from the manifest's folder; or URLs"
    )
    storage_options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="how to reach the store that URLs name, as fsspec takes it",
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
    shard_bytes: int = Field(
        default=256_000_000, ge=1, description="larger files are split into shards of this size"
    )
    pack_bytes: int = Field(
        default=32_000_000,
        ge=0,
        description="smaller files share shards of up to this size; 0 gives each its own",
    )

    _listed: list[Listing] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _each_field_once(self) -> FileFormat:
        names = [self.text, self.id, self.url, self.language]
        if len(set(names)) < len(names):
            raise ValueError(f"text, id, url and language must be four fields, not {names}")
        return self

    def rows(self, path: Path, name: str) -> Iterator[Row]:
        """The rows of a file, good and bad, in their order.

        ``name`` is what users see of the path. Raises ShardError when no more can be read.
        """
        raise NotImplementedError(f"{type(self).__name__}.rows")

    def can_split(self, file: InputFile) -> bool:
        """Whether parts of the file can be read by themselves, through ``part_rows``."""
        return False

    def part_rows(self, part: FilePart) -> Generator[Row, None, str]:
        """The rows of a part of a file, with the offsets that they have in the file; returns the
        sha256 of the part. Without ``can_split``, all parts are whole files."""
        with self.storage.on_disk(part.file) as copy:
            path = copy.need(0, part.file.size)
            yield from self.rows(path, part.file.name)
            return sha256_file(path)

    def find_index(self, file: InputFile, starts: Sequence[int]) -> Mapping[str, JsonValue]:
        """``index`` of a file that can be opened and is what was listed."""
        raise NotImplementedError(f"{type(self).__name__}.find_index")

    @property
    def storage(self) -> Storage:
        return Storage(self.storage_options)

    @property
    def field_names(self) -> FieldNames:
        return FieldNames(self.text, self.id, self.url, self.language)

    @property
    def caps(self) -> Caps:
        return Caps(self.max_bytes, self.max_ratio)

    def check(self, view: ManifestView) -> Iterator[Problem]:
        if missing := self._missing_secrets():
            yield from missing
            return
        listing = self._list(view.folder)
        self._listed[:] = [listing] if any(map(is_url, self._patterns())) else []
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
        for file in looked_at_files(files):
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
            for row in islice(self._rows(FilePart(file)), LOOKED_AT_IN_FILE):
                if not isinstance(row.fields, RowError):
                    yield row.fields
        except (ShardError, OSError):
            return  # the file fails when it is read, with this error

    def _missing_secrets(self) -> list[Problem]:
        if not self.storage_options:
            return []
        from pipeline.sources.object_store import ObjectStore

        return [
            Problem(
                ("storage_options",),
                "missing-environment",
                f"the environment variable {name}, a secret of storage_options, is not set",
                f"set it before the command: {name}=… winnow …",
            )
            for name in ObjectStore(self.storage_options).secrets()
            if not os.environ.get(name)
        ]

    def _list(self, folder: Path) -> Listing:
        return list_files(folder, self._patterns(), self.follow_links, self.storage_options)

    def _patterns(self) -> list[str]:
        return [self.paths] if isinstance(self.paths, str) else self.paths

    def freeze(self, name: str, folder: Path) -> list[Shard]:
        # Listing a store takes a second for ten thousand objects, and ``check`` has just done it.
        listing = self._listed.pop() if self._listed else self._list(folder)
        for wrong in listing.problems:
            raise Refusal(wrong.code, f"source {name!r}: {wrong.message}", wrong.hint)
        packs = pack(self._parts(listing.files), self.pack_bytes)
        return [Shard(name, number, parts) for number, parts in enumerate(packs)]

    def _parts(self, files: Sequence[InputFile]) -> Iterator[FilePart]:
        for file in files:
            if file.size > self.shard_bytes and self.can_split(file):
                yield from split(file, self.shard_bytes)
            else:
                yield FilePart(file)

    def index(self, file: InputFile, starts: Sequence[int]) -> Mapping[str, JsonValue]:
        try:
            self.storage.check_unchanged(FilePart(file))
            found = self.find_index(file, starts)
            self.storage.check_unchanged(FilePart(file))
        except OSError as error:
            raise unreadable(file.name, error) from error
        return found

    def read(self, shard: Shard) -> Iterator[Read]:
        from pipeline.sources.batches import Batches

        batches, inputs = Batches(shard.source, self.max_row_bytes), dict[str, str]()
        for part in shard.parts:
            reads = Returning(self._part(part, batches))
            try:
                yield from reads
            except OSError as error:
                raise unreadable(part.label, error) from error
            inputs[part.label] = reads.value or ""
        yield replace(batches.take(), inputs=inputs)

    def _part(self, part: FilePart, batches: Batches) -> Generator[Read, None, str]:
        """Batches that are full on the way through a part; returns its sha256."""
        names, caps, name = self.field_names, self.caps, part.file.name
        met = expanded = 0
        if not is_url(part.file.path):  # of an object it costs a request, and is seen at the end
            self.storage.check_unchanged(part)
        rows = Returning(self._rows(part))
        try:
            for row in rows:
                met += 1
                expanded += _add(batches, name, row, names)
                caps.check(name, expanded, part.file.size)
                if batches.full:
                    yield batches.take()
        except ShardError:
            # A file that someone is writing to looks damaged; say what it really is.
            self.storage.check_unchanged(part)
            raise
        sha256 = rows.value or ""
        self.storage.check_unchanged(part, sha256)
        if not met and part.is_whole and not self.allow_empty:
            raise ShardError(
                "empty-file",
                f"{name}: no rows in {part.file.size} bytes",
                "take it out of paths, or set allow_empty: true",
            )
        return sha256

    def _rows(self, part: FilePart) -> Generator[Row, None, str | None]:
        """``part_rows``; whatever it raises on its own becomes an error of this file."""
        offset = -1
        rows = Returning(self.part_rows(part))
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
                f"{part.label}: {kind.__name__}.rows failed after {offset + 1} rows: "
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


def looked_at_files(files: Sequence[InputFile]) -> Sequence[InputFile]:
    """The files in which fields are looked for: of many some, from the first to the last."""
    if len(files) <= LOOKED_AT_FILES:
        return files
    return [files[n * (len(files) - 1) // (LOOKED_AT_FILES - 1)] for n in range(LOOKED_AT_FILES)]


def unreadable(name: str, error: OSError) -> ShardError:
    return ShardError("unreadable", f"{name}: {error.strerror}", "check that it is still there")
