"""Bytes of a text file, plain or compressed, in bounded pieces.

Arrow decodes gzip and zstd: it reads every member and every frame, and raises on a stream that ends
early (``zstandard.stream_reader`` does not) or goes on with anything else. Truncation exactly
between two members cannot be seen here; the digest of the frozen file shows it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import ShardError
from pipeline.sources import bzip2_and_xz
from pipeline.sources.caps import Caps
from pipeline.sources.file_kinds import GZIP, PLAIN, ZSTD, check_kind, kind_by_name, not_read

CHUNK_BYTES = 2**20
_READ = {PLAIN, GZIP, ZSTD, *bzip2_and_xz.KINDS}


def read_chunks(path: Path, name: str, caps: Caps) -> Generator[bytes, None, str]:
    """The decompressed bytes in pieces of at most 1 MiB; returns the sha256 of the file itself.

    Raises ShardError: ``wrong-format``, ``corrupt-compression``, ``decompression-bomb``.
    """
    kind = kind_by_name(path)
    if kind not in _READ:
        raise not_read(name, kind)
    check_kind(path, name, kind)
    on_disk, expanded = path.stat().st_size, 0
    with path.open("rb", buffering=0) as raw:
        file = _HashingFile(raw)
        stream = _opened(file, kind)
        while chunk := _read(stream, name, kind):
            expanded += len(chunk)
            caps.check(name, expanded, on_disk)
            yield chunk
        return file.sha256.hexdigest()


def _opened(file: _HashingFile, kind: str) -> bzip2_and_xz.Source:
    if kind in bzip2_and_xz.KINDS:
        return bzip2_and_xz.StreamReader(file, kind)
    stream = pa.PythonFile(file, mode="r")
    opened: bzip2_and_xz.Source = (
        stream if kind == PLAIN else pa.CompressedInputStream(stream, kind)
    )
    return opened


def _read(stream: bzip2_and_xz.Source, name: str, kind: str) -> bytes:
    try:
        chunk: bytes = stream.read(CHUNK_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            "corrupt-compression",
            f"{name}: {kind} stream is truncated or damaged: {error}",
            "fetch or compress the file again",
        ) from error
    return chunk


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
