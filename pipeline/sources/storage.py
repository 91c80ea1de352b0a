"""Where input files are, and what version of a file is there now."""

from __future__ import annotations

import hashlib
import os
import time
from typing import BinaryIO, NamedTuple

from pipeline.errors import ShardError
from pipeline.sources.source import FilePart, InputFile

CHUNK_BYTES = 2**20


class Version(NamedTuple):
    """What a listing says of a file's content."""

    size: int
    token: str


def version_of(path: str) -> Version:
    """The version that is there now. Raises OSError."""
    return local_version(os.stat(path))


def local_version(found: os.stat_result) -> Version:
    seconds, fraction = divmod(found.st_mtime_ns, 10**9)
    changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return Version(found.st_size, f"{found.st_size} bytes of {changed}.{fraction:09}Z")


def listed(path: str, name: str) -> InputFile:
    """A file as it is now. Raises OSError."""
    return InputFile(path, name, *version_of(path))


def open_input(path: str) -> BinaryIO:
    """Raises OSError."""
    return open(path, "rb", buffering=0)


def check_unchanged(part: FilePart, sha256: str = "") -> None:
    """Raises ShardError ``input-changed`` when the file is no longer what was listed, or when what
    was read of it, with this digest, is not what it was before; OSError when it is gone."""
    found = version_of(part.file.path).token
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


class HashedFile:
    """Reads an opened file from byte ``start`` on, and hashes what is before byte ``end``.

    With ``bounded``, the file seems to end there. It is closed by ``with`` alone: Arrow closes what
    it has read to the end, and there may be more to hash.
    """

    closed = False

    def __init__(
        self, file: BinaryIO, start: int = 0, end: int | None = None, *, bounded: bool = False
    ) -> None:
        file.seek(start)
        self._file = file
        self._left = None if end is None else end - start  # bytes that are still to be hashed
        self._bounded = bounded
        self._ahead = b""
        self._sha256 = hashlib.sha256()

    def peek(self, size: int) -> bytes:
        """The next bytes, without moving on."""
        self._ahead += self._file.read(size - len(self._ahead)) or b""
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        if self._bounded and self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        if self._ahead:
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            chunk = self._file.read(size) or b""
        if self._left is None:
            self._sha256.update(chunk)
        elif self._left:
            self._sha256.update(chunk[: self._left])
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
