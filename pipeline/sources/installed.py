"""``format: installed``: text that Python, its packages and the system hold already."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline.errors import Problem, Refusal, ShardError
from pipeline.sources.caps import Caps
from pipeline.sources.fields import Document
from pipeline.sources.file_format import unreadable
from pipeline.sources.installed_documents import Unusable, documents
from pipeline.sources.installed_files import (
    STANDARD_LIBRARY,
    Entry,
    Kind,
    choose,
    find,
    missing_packages,
)
from pipeline.sources.returning import Returning
from pipeline.sources.rows import MAX_ROW_BYTES, QUARANTINE_RAW_BYTES, RowError, too_long
from pipeline.sources.source import FilePart, Read, Shard, SourceFormat
from pipeline.sources.storage import LOCAL, listed

if TYPE_CHECKING:
    from pipeline.sources.batches import Batches
    from pipeline.step import ManifestView

SHARD_BYTES = 3_000_000


class Installed(SourceFormat):
    """Real text from what is installed, for a first run without data of one's own.

    ``kind`` is ``source`` (Python files), ``docstrings`` (one document per documented module,
    class or function), ``descriptions`` (of distributions), ``licenses`` or ``manuals`` (manual
    pages, the language reference, READMEs, changelogs). ``packages`` is ``standard-library``;
    ``requirements``: that, and the packages that winnow requires everywhere; a list of
    distributions, of which ``standard-library`` may be one; or ``all``: every installed package and
    the system's documentation too. All but ``all`` give the same text on every machine that has the
    same Python and these packages in the same versions. About ``max_bytes`` of text are taken,
    spread by the hashes of file names. Nothing is imported or run.

    ``max_bad`` is high because some of these files are broken on purpose: Python's own tests hold
    sources in wrong encodings, and old changelogs are not UTF-8.
    """

    version: ClassVar[int] = 1

    kind: Kind = Field(description="which texts to take")
    packages: Literal["standard-library", "requirements", "all"] | list[str] = Field(
        default="all",
        description="take the standard library, also what winnow requires, a list of "
        "distributions, or all that is installed",
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

    def check(self, view: ManifestView) -> Iterator[Problem]:
        if isinstance(self.packages, str):
            return
        missing = missing_packages(self.packages)
        for number, name in enumerate(self.packages):
            if name in missing:
                yield Problem(
                    ("packages", number),
                    "no-such-package",
                    f"the package {name!r} is not installed",
                    f"install it, or name others; {STANDARD_LIBRARY} is always there",
                )

    def freeze(self, name: str, folder: Path) -> list[Shard]:
        chosen = choose(find(self.kind, self.packages), self.kind, self.max_bytes)
        if not chosen:
            packages = self.packages if isinstance(self.packages, str) else ", ".join(self.packages)
            raise Refusal(
                "no-files",
                f"source {name!r}: no {self.kind} are installed here (packages: {packages})",
                "choose another kind, or packages: all",
            )
        return [
            Shard(name, number, tuple(FilePart(listed(path, name)) for name, path, _ in entries))
            for number, entries in enumerate(_grouped(chosen))
        ]

    def read(self, shard: Shard) -> Iterator[Read]:
        from pipeline.sources.batches import Batches

        batches, rows, inputs = Batches(shard.source, self.max_row_bytes), 0, dict[str, str]()
        for part in shard.parts:
            items = Returning(self._items(part))
            for offset, item in enumerate(items):
                _put(batches, part.file.name, offset, item)
                rows += 1
                if batches.full:
                    yield batches.take()
            inputs[part.label] = items.value or ""
        yield replace(batches.take(), inputs=inputs)
        if not rows and not self.allow_empty:
            raise ShardError(
                "empty-file",
                f"no {self.kind} in {len(shard.names)} files from {shard.names[0]} on",
                "choose another kind, or set allow_empty: true",
            )

    def _items(self, part: FilePart) -> Generator[Document | Unusable, None, str]:
        """What is in a file; returns its sha256."""
        try:
            raw, size, sha256 = self._bytes(part)
        except OSError as error:
            raise unreadable(part.label, error) from error
        if size > self.max_row_bytes:
            yield Unusable(too_long(size, self.max_row_bytes), raw, size)
        else:
            yield from documents(self.kind, part.file.name, raw)
        return sha256

    def _bytes(self, part: FilePart) -> tuple[bytes, int, str]:
        """A file's decompressed bytes, or their beginning where they are too many, how many there
        are, and the sha256 of the file."""
        from pipeline.sources.decompress import read_chunks

        path, caps, on_disk = part.file.path, Caps(2**30, 1000), part.file.size
        raw, size = bytearray(), 0
        LOCAL.check_unchanged(part)
        with LOCAL.open(part.file) as file:
            try:
                for chunk in read_chunks(file, path, part.label, caps, on_disk):
                    size += len(chunk)
                    raw += chunk
                    if size > self.max_row_bytes:
                        del raw[QUARANTINE_RAW_BYTES:]
            except ShardError:
                LOCAL.check_unchanged(part)
                raise
            sha256 = file.finish()
        LOCAL.check_unchanged(part, sha256)
        return bytes(raw), size, sha256


def _put(batches: Batches, name: str, offset: int, item: Document | Unusable) -> None:
    if isinstance(item, Unusable):
        batches.reject(name, offset, *item)
        return
    try:
        batches.add(name, offset, item)
    except RowError as error:
        batches.reject(name, offset, error, item.text.encode())


def _grouped(chosen: list[tuple[Entry, int]]) -> Iterator[list[Entry]]:
    """Consecutive files with about 3 MB of text together."""
    group: list[Entry] = []
    total = 0
    for file, size in chosen:
        if group and total + size > SHARD_BYTES:
            yield group
            group, total = [], 0
        group.append(file)
        total += size
    yield group
