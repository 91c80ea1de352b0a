"""What a source of documents is. Readers implement it; the engine knows no format by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.errors import Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.engine.cache import Cache
    from pipeline.step import ManifestView


@dataclass(frozen=True)
class Shard:
    """A frozen piece of input. Nothing in it depends on how many workers there are.

    ``files`` are (path, sha256) of what it reads; paths are absolute, ``names`` are what users and
    receipts see instead (relative to the manifest where possible). ``bytes`` is the size on disk.
    """

    source: str
    number: int
    files: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Read:
    """What a reader yields: documents (DOCUMENT_SCHEMA) and rows it could not use.

    ``quarantined`` has QUARANTINE_SCHEMA; either may be None.
    """

    documents: pa.RecordBatch | None = None
    quarantined: pa.RecordBatch | None = None

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

    def freeze(self, name: str, folder: Path, digests: Cache) -> list[Shard]:
        """List the input as it is now, in an order that depends on names alone.

        ``folder`` is the manifest's. Raises Refusal when there is nothing to read, or when what is
        there may not be read (a link out of the folder).
        """
        raise NotImplementedError(f"{type(self).__name__}.freeze")

    def read(self, shard: Shard) -> Iterator[Read]:
        """Stream the shard in bounded batches. Raises ShardError when the file itself is bad,
        or when it no longer has the digest it was frozen with."""
        raise NotImplementedError(f"{type(self).__name__}.read")

    def place(self, name: str, offset: int) -> str:
        """Where a user finds the row at ``offset`` of the file ``name``."""
        return f"{name}, row {offset} from 0"
