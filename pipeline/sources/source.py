"""What a source of documents is. Readers implement it; the engine knows no format by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.errors import Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.step import ManifestView


@dataclass(frozen=True)
class InputFile:
    """A file of the input as it was listed, without being opened.

    ``path`` is absolute, or a URL; ``name`` is what users, receipts and ids see of it (relative to
    the manifest where possible). ``token`` is another one whenever the content is: of a file on a
    disk its size and time of change, of an object its version.
    """

    path: str
    name: str
    size: int = 0
    token: str = ""


@dataclass(frozen=True)
class FilePart:
    """A file, or a part of a large one: what begins from byte ``start`` on and before byte ``end``;
    None is the end of the file.

    ``index`` is what the format has found out about the file, where it needs that to read a part.
    ``sha256`` is the digest that the part had when it was read before under the same token, "" when
    it never was.
    """

    file: InputFile
    start: int = 0
    end: int | None = None
    index: Mapping[str, JsonValue] | None = None
    sha256: str = ""

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None

    @property
    def bytes(self) -> int:
        return max(0, (self.file.size if self.end is None else self.end) - self.start)

    @property
    def label(self) -> str:
        """What users and receipts see of it."""
        if self.is_whole:
            return self.file.name
        return f"{self.file.name} bytes {self.start}-{'' if self.end is None else self.end}"

    @property
    def identity(self) -> list[JsonValue]:
        """What tells it from other parts, whatever the file holds now."""
        return [self.file.name, self.start, self.end]


@dataclass(frozen=True)
class Shard:
    """A frozen piece of input: a part of a file, or a pack of small files.

    Nothing in it depends on how many workers there are.
    """

    source: str
    number: int
    parts: tuple[FilePart, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.label for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size as it is stored, compressed or not."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Read:
    """What a reader yields: documents (DOCUMENT_SCHEMA) and rows it could not use.

    ``quarantined`` has QUARANTINE_SCHEMA; either may be None. ``inputs`` are the sha256 of parts
    that have been read to their end, by label.
    """

    documents: pa.RecordBatch | None = None
    quarantined: pa.RecordBatch | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were met, good and bad."""
        return sum(batch.num_rows for batch in (self.documents, self.quarantined) if batch)


class SourceFormat(BaseModel):
    """A ``sources`` entry of the manifest. Subclasses add their fields and are entry points.

    ``max_bad`` is the share of quarantined rows above which a shard fails; ``allow_empty`` accepts
    files without rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # Raise it when the same files and settings give other documents.
    version: ClassVar[int] = 1
    # Fields that choose files or bound faults, and do not change what a file gives.
    selecting: ClassVar[frozenset[str]] = frozenset({"max_bad", "allow_empty"})

    max_bad: float = Field(
        default=0.001, ge=0, le=1, description="share of bad rows above which a shard fails"
    )
    allow_empty: bool = Field(default=False, description="accept files without rows")

    def settings(self) -> dict[str, JsonValue]:
        """The fields that decide what a file gives, which fingerprints are made of."""
        return self.model_dump(mode="json", exclude=set(self.selecting))

    def check(self, view: ManifestView) -> Iterator[Problem]:
        """What is wrong with the source beside its fields' types: files that are not there, say.

        ``Problem.path`` is relative to this source. Every command that loads the manifest asks, so
        it must not take long.
        """
        return iter(())

    def freeze(self, name: str, folder: Path) -> list[Shard]:
        """List the input as it is now, without opening it, in an order that depends on names alone.

        ``folder`` is the manifest's. Raises Refusal when there is nothing to read, or when what is
        there may not be read (a link out of the folder).
        """
        raise NotImplementedError(f"{type(self).__name__}.freeze")

    def needs_index(self, part: FilePart) -> bool:
        """Whether ``index`` of the file must be known before the part can be read."""
        return False

    def index(self, file: InputFile, starts: Sequence[int]) -> Mapping[str, JsonValue]:
        """What parts of a file that begin at ``starts`` need to know of it, found in one pass.

        Raises ShardError when the file cannot be opened or is no longer what was listed.
        """
        raise NotImplementedError(f"{type(self).__name__}.index")

    def read(self, shard: Shard) -> Iterator[Read]:
        """Stream the shard in bounded batches. Raises ShardError when a file itself is bad, or when
        it is no longer what was listed."""
        raise NotImplementedError(f"{type(self).__name__}.read")

    def place(self, name: str, offset: int) -> str:
        """Where a user finds the row at ``offset`` of the file ``name``."""
        return f"{name}, row {offset} from 0"
