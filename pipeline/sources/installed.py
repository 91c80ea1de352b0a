"""``format: installed``: text that this machine's own Python and system already hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from pipeline.documents import QUARANTINE_RAW_BYTES
from pipeline.engine.cache import Cache
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Refusal, ShardError
from pipeline.sources import harvest
from pipeline.sources.batches import MAX_ROW_BYTES, Batches, Document, RowError, too_long
from pipeline.sources.decompress import Caps, Returning, read_chunks
from pipeline.sources.file_lists import Found, check_unchanged, unreadable
from pipeline.sources.source import Read, Shard, SourceFormat

SHARD_BYTES = 3_000_000


class Installed(SourceFormat):
    """Real text from what is installed, for a first run without data of one's own.

    ``kind`` is ``source`` (Python files), ``docstrings`` (one document per documented module,
    class or function), ``descriptions`` (of distributions), ``licenses`` or ``manuals`` (manual
    pages, READMEs, changelogs). ``packages`` is ``standard-library`` or ``all``: installed packages
    and the system's documentation too. About ``max_bytes`` of text are taken, spread by the hashes
    of file names. Nothing is imported or run.

    ``max_bad`` is high because some of these files are broken on purpose: Python's own tests hold
    sources in wrong encodings, and old changelogs are not UTF-8.
    """

    kind: harvest.Kind = Field(description="which texts to take")
    packages: harvest.Packages = Field(
        default="all", description="take installed packages too, or the standard library alone"
    )
    max_bytes: int = Field(
        default=12_000_000, gt=0, description="about how many bytes of text to take"
    )
    max_row_bytes: int = Field(
        default=16 * 2**20, gt=0, le=MAX_ROW_BYTES, description="longer files are quarantined"
    )
    max_bad: float = Field(
        default=0.2, ge=0, le=1, description="share of bad files above which a shard fails"
    )

    def freeze(self, name: str, folder: Path, digests: Cache) -> list[Shard]:
        chosen = harvest.choose(harvest.find(self.kind, self.packages), self.kind, self.max_bytes)
        if not chosen:
            raise Refusal(
                "no-files",
                f"source {name!r}: no {self.kind} are installed here (packages: {self.packages})",
                "choose another kind, or packages: all",
            )
        return [
            _shard(name, number, files, digests) for number, files in enumerate(_grouped(chosen))
        ]

    def read(self, shard: Shard) -> Iterator[Read]:
        batches, rows = Batches(shard.source, self.max_row_bytes), 0
        for (path, digest), name in zip(shard.files, shard.names, strict=True):
            for offset, item in enumerate(self._items(Path(path), name, digest)):
                _put(batches, name, offset, item)
                rows += 1
                if batches.full:
                    yield batches.take()
        if batches.rows:
            yield batches.take()
        if not rows and not self.allow_empty:
            raise ShardError(
                "empty-file",
                f"no {self.kind} in {len(shard.names)} files from {shard.names[0]} on",
                "choose another kind, or set allow_empty: true",
            )

    def _items(self, path: Path, name: str, digest: str) -> Iterator[Document | harvest.Unusable]:
        try:
            raw, size = self._bytes(path, name, digest)
        except OSError as error:
            raise unreadable(name, error) from error
        if size > self.max_row_bytes:
            yield harvest.Unusable(too_long(size, self.max_row_bytes), raw, size)
        else:
            yield from harvest.documents(self.kind, name, raw)

    def _bytes(self, path: Path, name: str, digest: str) -> tuple[bytes, int]:
        """A file's decompressed bytes, or their beginning where they are too many, and how many."""
        raw, size = bytearray(), 0
        chunks = Returning(read_chunks(path, name, Caps(2**30, 1000)))
        try:
            for chunk in chunks:
                size += len(chunk)
                raw += chunk
                if size > self.max_row_bytes:
                    del raw[QUARANTINE_RAW_BYTES:]
        except ShardError:
            check_unchanged(name, digest, sha256_file(path))
            raise
        check_unchanged(name, digest, chunks.value)
        return bytes(raw), size


def _put(batches: Batches, name: str, offset: int, item: Document | harvest.Unusable) -> None:
    if isinstance(item, harvest.Unusable):
        batches.reject(name, offset, *item)
        return
    try:
        batches.add(name, offset, item)
    except RowError as error:
        batches.reject(name, offset, error, item.text.encode())


def _grouped(chosen: list[tuple[Found, int]]) -> Iterator[list[Found]]:
    """Consecutive files with about 3 MB of text together."""
    group: list[Found] = []
    total = 0
    for file, size in chosen:
        if group and total + size > SHARD_BYTES:
            yield group
            group, total = [], 0
        group.append(file)
        total += size
    yield group


def _shard(source: str, number: int, files: list[Found], digests: Cache) -> Shard:
    return Shard(
        source,
        number,
        tuple((str(file.path), digests.digest(file.path)) for file in files),
        tuple(file.name for file in files),
        sum(file.path.stat().st_size for file in files),
    )
