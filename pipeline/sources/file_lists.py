"""Which files a source reads, and what all formats that read files share."""

from __future__ import annotations

import glob
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from pipeline.engine.cache import Cache
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Refusal, ShardError
from pipeline.sources.batches import MAX_ROW_BYTES, FieldNames
from pipeline.sources.decompress import Caps, Returning
from pipeline.sources.source import Read, Shard, SourceFormat


@dataclass(frozen=True)
class Found:
    """A file and what users see of it: its path as the manifest spells it."""

    path: Path
    name: str


def list_files(
    source: str, folder: Path, patterns: Sequence[str], follow_links: bool = False
) -> list[Found]:
    """The regular files that glob ``patterns`` match, each once, sorted by name.

    Patterns are relative to ``folder``, or absolute; ``**`` descends. Hidden files need a pattern
    that says so. Raises Refusal: ``no-files``, ``home-path``, ``not-a-file``, ``link-outside``.
    """
    found: dict[Path, Found] = {}
    for pattern in patterns:
        matched = list(_match(source, folder, pattern, follow_links))
        if not matched:
            raise Refusal(
                "no-files",
                f"source {source!r}: no file matches {pattern!r}",
                f"patterns are relative to the manifest's folder{_folder_hint(folder, pattern)}",
            )
        for file in matched:
            real = _real(file.path)
            if real not in found or file.name < found[real].name:
                found[real] = file
    return sorted(found.values(), key=lambda file: file.name)


def _folder_hint(folder: Path, pattern: str) -> str:
    return f"; it is a folder, write {pattern}/*" if (folder / pattern).is_dir() else ""


def _match(source: str, folder: Path, pattern: str, follow_links: bool) -> Iterator[Found]:
    if pattern.startswith("~"):
        raise Refusal(
            "home-path",
            f"source {source!r}: {pattern!r} means another folder for every user",
            "write a path relative to the manifest, or an absolute one",
        )
    literal = os.path.lexists(folder / pattern)
    names = [pattern] if literal else glob.glob(pattern, root_dir=folder, recursive=True)
    root = _real(folder / _fixed_part(pattern, literal))
    for name in sorted(os.path.normpath(name) for name in names):
        path = folder / name
        if path.is_dir():
            continue
        if not follow_links and not _real(path).is_relative_to(root):
            raise Refusal(
                "link-outside",
                f"source {source!r}: {name} is a link out of {_fixed_part(pattern, literal)!r}",
                "name the file itself in paths, or set follow_links: true",
            )
        if not path.is_file():
            raise Refusal(
                "not-a-file",
                f"source {source!r}: {name} is no regular file, or a link to nothing",
                "take it out of paths",
            )
        yield Found(path, name)


def _real(path: Path) -> Path:
    # Unlike Path.resolve, this does not raise on a link to itself.
    return Path(os.path.realpath(path))


def _fixed_part(pattern: str, literal: bool) -> str:
    """The folder that a pattern names before its first wildcard."""
    parts = Path(pattern).parts
    wild = (n for n, part in enumerate(parts) if glob.has_magic(part) and not literal)
    return str(Path(*parts[: next(wild, len(parts) - 1)]))


class FileFormat(SourceFormat):
    """What formats that read files share. One file is one shard.

    ``paths`` is a glob or a list of them, relative to the manifest. ``text``, ``id``, ``url`` and
    ``language`` name fields of the rows; all other fields go to ``metadata``. A row without an id
    gets ``source/file#offset``. Rows over ``max_row_bytes`` are quarantined. A file that expands to
    more than ``max_bytes``, or (past 64 MiB) to more than ``max_ratio`` times its size, fails.
    Links that lead out of the folder a glob starts in are refused unless ``follow_links``.
    """

    selecting: ClassVar[frozenset[str]] = SourceFormat.selecting | {"paths", "follow_links"}

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

    @property
    def field_names(self) -> FieldNames:
        return FieldNames(self.text, self.id, self.url, self.language)

    @property
    def caps(self) -> Caps:
        return Caps(self.max_bytes, self.max_ratio)

    def freeze(self, name: str, folder: Path, digests: Cache) -> list[Shard]:
        patterns = [self.paths] if isinstance(self.paths, str) else self.paths
        files = list_files(name, folder, patterns, self.follow_links)
        if not files:
            raise Refusal("no-files", f"source {name!r}: paths is empty", "name files to read")
        self.check_files(name, files)
        return [_shard(name, number, file, digests) for number, file in enumerate(files)]

    def check_files(self, source: str, files: Sequence[Found]) -> None:
        """Raise Refusal when the files cannot be one source; the default asks nothing."""

    def batches(self, source: str, path: Path, name: str) -> Generator[Read, None, str]:
        """The file in bounded batches; returns the sha256 of what was read."""
        raise NotImplementedError(f"{type(self).__name__}.batches")

    def read(self, shard: Shard) -> Iterator[Read]:
        [(file, digest)], [name] = shard.files, shard.names
        try:
            yield from self._read(shard.source, Path(file), name, digest)
        except OSError as error:
            raise unreadable(name, error) from error

    def _read(self, source: str, path: Path, name: str, digest: str) -> Iterator[Read]:
        rows = 0
        batches = Returning(self.batches(source, path, name))
        try:
            for read in batches:
                rows += _rows(read)
                yield read
        except ShardError:
            # A file that someone is writing to looks damaged; say what it really is.
            check_unchanged(name, digest, sha256_file(path))
            raise
        check_unchanged(name, digest, batches.value)
        if not rows and not self.allow_empty:
            raise ShardError(
                "empty-file",
                f"{name}: no rows in {path.stat().st_size} bytes",
                "take it out of paths, or set allow_empty: true",
            )


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


def _shard(source: str, number: int, file: Found, digests: Cache) -> Shard:
    try:
        digest, size = digests.digest(file.path), file.path.stat().st_size
    except OSError as error:
        raise Refusal(
            "unreadable", f"source {source!r}: {file.name}: {error.strerror}", "check permissions"
        ) from error
    return Shard(source, number, ((str(file.path.absolute()), digest),), (file.name,), size)


def _rows(read: Read) -> int:
    batches = (read.documents, read.quarantined)
    return sum(batch.num_rows for batch in batches if batch is not None)
