"""What users hear of quarantined rows: how many of each code, and where the first is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ShardError
from pipeline.sources.source import Read, Shard, SourceFormat

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class BadRows:
    """Counts quarantined rows by code and keeps the first of each."""

    sources: Mapping[str, SourceFormat]
    counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)

    def add_files(self, paths: Iterable[Path]) -> None:
        """Add the rows of committed quarantine files."""
        import pyarrow.parquet as pq

        for path in paths:
            for batch in pq.read_table(path).to_batches():
                self.add(batch)

    def add(self, quarantined: pa.RecordBatch | None) -> None:
        """Add rows of QUARANTINE_SCHEMA."""
        for source, name, offset, code, message in _rows(quarantined):
            self.counts[code] = self.counts.get(code, 0) + 1
            if code not in self._first:
                place = self.sources[source].place(name, offset)
                self._first[code] = f"first at {place}: {message}"

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        return "; ".join(
            f"{count} {code} ({self._first[code]})" for code, count in sorted(self.counts.items())
        )


def _rows(batch: pa.RecordBatch | None) -> Iterator[tuple[str, str, int, str, str]]:
    if batch is not None:
        columns = ("source", "_source", "_offset", "code", "message")
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


class ShardRows:
    """Counts the rows of a shard while it is read, and fails it when too many are bad."""

    def __init__(self, source: SourceFormat, shard: Shard) -> None:
        self._source = source
        self._shard = shard
        self._bad = BadRows({shard.source: source})
        self._rows = 0

    def __iter__(self) -> Iterator[Read]:
        """The shard's batches. Raises ShardError after the last one when the source does not accept
        them: see ``shard_fault``."""
        for read in self._source.read(self._shard):
            self._rows += read.rows
            self._bad.add(read.quarantined)
            yield read
        if error := shard_fault(self._source, self._shard, self._bad, self._rows):
            raise error


def shard_fault(source: SourceFormat, shard: Shard, bad: BadRows, rows: int) -> ShardError | None:
    """What a shard fails with when more of its rows are bad than the source accepts, or when it has
    none."""
    if not rows and not source.allow_empty:
        message = f"{', '.join(shard.names[:3])}: no rows"
        hint = "take it out of this source, or set allow_empty: true"
        return ShardError("empty-file", message, hint)
    if bad.total <= source.max_bad * rows:
        return None
    return ShardError(
        "too-many-bad-rows",
        f"{bad.total} of {rows} rows of {', '.join(shard.names[:3])} are bad, "
        f"more than max_bad: {source.max_bad}: {bad}",
        "mend the file, or raise max_bad of this source to quarantine them and go on",
    )
