"""Bytes of a text file, plain or compressed, in bounded pieces.

Arrow decodes gzip and zstd: it reads every member and every frame, and raises on a stream that ends
early (``zstandard.stream_reader`` does not) or goes on with anything else. Truncation exactly
between two members cannot be seen here; the version of the file shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.errors import ShardError
from pipeline.sources import bzip2_and_xz
from pipeline.sources.caps import Caps
from pipeline.sources.file_kinds import (
    GZIP,
    MAGIC_BYTES,
    PLAIN,
    ZSTD,
    check_kind,
    kind_by_name,
    not_read,
)
from pipeline.sources.storage import CHUNK_BYTES, HashedFile

_READ = {PLAIN, GZIP, ZSTD, *bzip2_and_xz.KINDS}


def read_chunks(
    file: HashedFile, path: str, name: str, caps: Caps, on_disk: int
) -> Iterator[bytes]:
    """The decompressed bytes of ``file`` in pieces of at most 1 MiB.

    It is opened at the beginning of a file, or of a member of a compressed one; ``path`` says by
    its end what is in it. ``on_disk`` bytes expand to no more than ``caps`` allow. Raises
    ShardError: ``wrong-format``, ``corrupt-compression``, ``decompression-bomb``.
    """
    kind = kind_by_name(path)
    if kind not in _READ:
        raise not_read(name, kind)
    check_kind(file.peek(MAGIC_BYTES), name, kind)
    yield from expanded(file, kind, name, caps, on_disk)


def expanded(file: HashedFile, kind: str, name: str, caps: Caps, on_disk: int) -> Iterator[bytes]:
    """``read_chunks`` of a file that is known to be of this kind."""
    stream, size = _opened(file, kind), 0
    while chunk := _read(stream, name, kind):
        size += len(chunk)
        caps.check(name, size, on_disk)
        yield chunk


def _opened(file: HashedFile, kind: str) -> bzip2_and_xz.Source:
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
