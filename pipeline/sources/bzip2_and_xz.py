"""bzip2 and xz by the standard library's decoders, strictly.

``bz2.open`` and ``lzma.open`` ignore what follows the last stream, and a file cut between two
blocks of output shows only at its end; here both are errors.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable
from typing import Protocol

from pipeline.sources.file_kinds import BZIP2, XZ

# How much is read from disk at once.
PACKED_BYTES = 2**16
# For the dictionary of an xz file; `xz -9` needs 65 MiB.
MAX_MEMORY = 2**30


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    BZIP2: bz2.BZ2Decompressor,
    XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY),
}
KINDS = frozenset(_DECOMPRESSORS)


class StreamReader:
    """Reads every stream of a bzip2 or xz file in pieces of bounded size."""

    def __init__(self, file: Source, kind: str) -> None:
        self._file = file
        self._make = _DECOMPRESSORS[kind]
        self._padded = kind == XZ
        self._decompressor = self._make()
        self._packed = b""
        self._inside = False  # a stream that has begun and not ended

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end. OSError when the streams are damaged."""
        while True:
            if self._decompressor.eof:
                self._packed = self._decompressor.unused_data
                self._decompressor, self._inside = self._make(), False
            if not self._inside and self._padded:
                self._packed = self._packed.lstrip(b"\0")  # xz may pad the end of a stream
            if not self._packed and self._decompressor.needs_input:
                self._packed = self._file.read(PACKED_BYTES)
                if not self._packed:
                    if self._inside:
                        raise OSError("the stream ends early")
                    return b""
                continue
            self._inside = True
            packed, self._packed = self._packed, b""
            try:
                found = self._decompressor.decompress(packed, size)
            except (lzma.LZMAError, ValueError) as error:
                raise OSError(str(error)) from error
            if found:
                return found
