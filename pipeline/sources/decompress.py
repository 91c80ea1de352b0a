"""Bytes of a text file, plain or compressed, in bounded pieces.

Both decoders are Arrow's: they read every gzip member and every zstd frame, and raise on a stream
that ends early (``zstandard.stream_reader`` does not) or goes on with anything else. Truncation
exactly between two members cannot be seen here; the digest of the frozen file shows it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa

from pipeline.errors import ShardError

CHUNK_BYTES = 2**20
# Small files may be as repetitive as they like: what they expand to is harmless.
RATIO_FROM_BYTES = 64 * 2**20

_BY_EXTENSION = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zip": "zip",
    ".parquet": "Parquet",
}
_BY_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{bytes([n]) + b"\x2a\x4d\x18": "zstd" for n in range(0x50, 0x60)},  # skippable frames
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
}
PLAIN = "plain text"

T = TypeVar("T")


@dataclass(frozen=True)
class Caps:
    """How much one file may expand to: ``max_bytes`` in all, and ``max_ratio`` times its size on
    disk once it has passed 64 MiB."""

    max_bytes: int
    max_ratio: float

    def check(self, name: str, expanded: int, on_disk: int) -> None:
        """Raises ShardError ``decompression-bomb``."""
        if expanded > self.max_bytes:
            limit = f"max_bytes: {self.max_bytes}"
        elif expanded > max(RATIO_FROM_BYTES, self.max_ratio * on_disk):
            limit = f"max_ratio: {self.max_ratio:g}"
        else:
            return
        raise ShardError(
            "decompression-bomb",
            f"{name}: {on_disk} bytes on disk expand to {expanded} or more, over {limit}",
            "raise the limit in this source if the file is what it should be",
        )


def kind_by_magic(path: Path) -> str:
    """What the first bytes of a file say it is; ``plain text`` when they say nothing."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((kind for magic, kind in _BY_MAGIC.items() if head.startswith(magic)), PLAIN)


def check_kind(path: Path, name: str, expected: str) -> None:
    """Raises ShardError ``wrong-format`` naming both when the first bytes contradict."""
    found = kind_by_magic(path)
    if found != expected and path.stat().st_size:
        raise ShardError(
            "wrong-format",
            f"{name}: read as {expected} by its name, but its first bytes are those of {found}",
            "rename the file after what it holds (.gz for gzip, .zst for zstd), or write it again",
        )


def read_chunks(path: Path, name: str, caps: Caps) -> Generator[bytes, None, str]:
    """The decompressed bytes in pieces of at most 1 MiB; returns the sha256 of the file itself.

    Raises ShardError: ``wrong-format``, ``corrupt-compression``, ``decompression-bomb``.
    """
    kind = _BY_EXTENSION.get(path.suffix.lower(), PLAIN)
    check_kind(path, name, kind)
    if kind not in (PLAIN, "gzip", "zstd"):
        raise ShardError("wrong-format", f"{name}: {kind} is not read", "compress it with zstd")
    on_disk, expanded = path.stat().st_size, 0
    with path.open("rb", buffering=0) as raw:
        file = _HashingFile(raw)
        stream = pa.PythonFile(file, mode="r")
        if kind != PLAIN:
            stream = pa.CompressedInputStream(stream, kind)
        while chunk := _read(stream, name, kind):
            expanded += len(chunk)
            caps.check(name, expanded, on_disk)
            yield chunk
        return file.sha256.hexdigest()


def _read(stream: pa.NativeFile, name: str, kind: str) -> bytes:
    try:
        chunk: bytes = stream.read(CHUNK_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            "corrupt-compression",
            f"{name}: {kind} stream is truncated or damaged: {error}",
            "fetch or compress the file again",
        ) from error
    return chunk


class Returning(Generic[T]):
    """Iterates a generator once and keeps what it returned as ``value``."""

    value: str

    def __init__(self, generator: Generator[T, None, str]) -> None:
        self._generator = generator

    def __iter__(self) -> Iterator[T]:
        self.value = yield from self._generator


class _HashingFile(io.RawIOBase):
    """Reads a file and hashes what was read."""

    def __init__(self, file: io.RawIOBase | io.FileIO) -> None:
        super().__init__()
        self._file = file
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size) or b""
        self.sha256.update(chunk)
        return chunk
