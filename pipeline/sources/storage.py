"""Where input files are, on disks or in object stores, and which version of one is there now."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import JsonValue

from pipeline.errors import ShardError
from pipeline.sources.source import FilePart, InputFile

CHUNK_BYTES = 2**20


class Version(NamedTuple):
    """What a listing says of a file's content."""

    size: int
    token: str


def is_url(path: str) -> bool:
    return "://" in path


def local_version(found: os.stat_result) -> Version:
    seconds, fraction = divmod(found.st_mtime_ns, 10**9)
    changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return Version(found.st_size, f"{found.st_size} bytes of {changed}.{fraction:09}Z")


def listed(path: str, name: str) -> InputFile:
    """A file on this machine as it is now. Raises OSError."""
    return InputFile(path, name, *local_version(os.stat(path)))


class Opened(Protocol):
    """A file that is open for reading."""

    def seek(self, place: int, /) -> object: ...
    def read(self, size: int, /) -> bytes | None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Storage:
    """Reads files by path or URL. ``options`` are those of fsspec, for URLs.

    Methods raise OSError for files on this machine and ShardError for others.
    """

    options: Mapping[str, JsonValue] = field(default_factory=dict)

    def token(self, file: InputFile) -> str:
        """The version that is there now."""
        if not is_url(file.path):
            return local_version(os.stat(file.path)).token
        from pipeline.sources.object_store import ObjectStore

        return ObjectStore(self.options).info(file.path).token

    def open(
        self,
        file: InputFile,
        start: int = 0,
        end: int | None = None,
        *,
        bounded: bool = False,
        hashed: bool = True,
    ) -> HashedFile:
        """The file from byte ``start`` on; what is before byte ``end`` is hashed."""
        opened, size = self._opened(file), None if end is None else end - start
        opened.seek(start)
        return HashedFile(opened, size, bounded=bounded, hashed=hashed)

    def _opened(self, file: InputFile) -> Opened:
        if not is_url(file.path):
            return open(file.path, "rb", buffering=0)
        from pipeline.sources.object_store import ObjectStore

        return ObjectStore(self.options).open(file)

    @contextmanager
    def on_disk(self, file: InputFile) -> Iterator[OnDisk]:
        """The file on this machine's disk; an object is copied into a temporary folder (TMPDIR) for
        as long, as far as it is asked for."""
        if not is_url(file.path):
            yield OnDisk(Path(file.path))
            return
        with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
            path = Path(folder, "input" + os.path.splitext(file.path)[1])
            with path.open("wb") as copy:
                copy.truncate(file.size)
            yield OnDisk(path, lambda start: self.open(file, start, hashed=False))

    def check_unchanged(self, part: FilePart, sha256: str = "") -> None:
        """Raises ShardError ``input-changed`` when the file is no longer what was listed, or when
        what was read of it, with this digest, is not what it was before."""
        found = self.token(part.file)
        if found != part.file.token:
            what = f"version mismatch, {found} is not the planned {part.file.token}"
        elif sha256 and part.sha256 and sha256 != part.sha256:
            what = (
                f"digest mismatch, sha256 {sha256[:12]} was {part.sha256[:12]} in an earlier run, "
                "and nothing else says that the file changed"
            )
        else:
            return
        raise ShardError(
            "input-changed",
            f"{part.label}: {what}",
            "leave the input alone while it is read, and run again to plan with what is there now",
        )


LOCAL = Storage()


@dataclass(frozen=True)
class OnDisk:
    """A file on disk; of a copy, what was not asked for is a hole of zeros."""

    path: Path
    _original: Callable[[int], HashedFile] | None = None

    def need(self, start: int, end: int) -> Path:
        """The path, at which these bytes are there now."""
        if self._original is not None:
            with self._original(start) as source, self.path.open("r+b") as copy:
                copy.seek(start)
                while start < end and (chunk := source.read(min(CHUNK_BYTES, end - start))):
                    start += copy.write(chunk)
        return self.path


class HashedFile:
    """Reads an opened file, and hashes the first ``size`` bytes of what is read; None is all.

    With ``bounded``, the file seems to end after them. It is closed by ``with`` alone: Arrow closes
    what it has read to the end, and there may be more to hash.
    """

    closed = False

    def __init__(
        self,
        file: Opened,
        size: int | None = None,
        *,
        bounded: bool = False,
        hashed: bool = True,
    ) -> None:
        self._file = file
        self._left = size  # bytes that are still to be hashed
        self._bounded = bounded
        self._hashed = hashed
        self._ahead = b""
        self._sha256 = hashlib.sha256()

    def peek(self, size: int) -> bytes:
        """The next bytes, without moving on."""
        self._ahead += self._file.read(size - len(self._ahead)) or b""
        return self._ahead

    def read(self, size: int) -> bytes:
        if self._bounded and self._left is not None:
            size = min(size, self._left)
        if self._ahead:
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            chunk = self._file.read(size) or b""
        if self._hashed and self._left != 0:
            self._sha256.update(chunk if self._left is None else chunk[: self._left])
        if self._left is not None:
            self._left = max(0, self._left - len(chunk))
        return chunk

    def finish(self) -> str:
        """Hash what has not been read yet; the sha256."""
        while self._left != 0 and self.read(CHUNK_BYTES):
            pass
        return self._sha256.hexdigest()

    def close(self) -> None:
        """For Arrow, which asks for it."""

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
