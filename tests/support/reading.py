"""Freeze and read sources in tests, and write the files that they read."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA, MAX_BATCH_BYTES, MAX_BATCH_ROWS, QUARANTINE_SCHEMA
from pipeline.errors import Problem
from pipeline.sources.file_format import FileFormat
from pipeline.sources.shards import split
from pipeline.sources.source import Read, Shard, SourceFormat
from pipeline.step import ManifestView

Rows = list[dict[str, Any]]


def freeze(fmt: SourceFormat, folder: Path, name: str = "web") -> list[Shard]:
    return fmt.freeze(name, folder)


def problems(fmt: SourceFormat, folder: Path) -> list[Problem]:
    """What is wrong with a source by what is there, as every command that loads it finds."""
    return list(fmt.check(ManifestView(folder, seed=0, sources=("web",))))


def read_all(fmt: SourceFormat, folder: Path) -> tuple[Rows, Rows]:
    """Documents and quarantined rows of everything the source lists in ``folder``."""
    shards = map(indexed(fmt), freeze(fmt, folder))
    return rows_of(read for shard in shards for read in fmt.read(shard))


def indexed(fmt: SourceFormat) -> Callable[[Shard], Shard]:
    """Gives a shard what the format has to know of its file, as the engine does."""

    def index(shard: Shard) -> Shard:
        part, *_ = shard.parts
        if not fmt.needs_index(part):
            return shard
        assert isinstance(fmt, FileFormat)
        starts = [part.start for part in split(part.file, fmt.shard_bytes)]
        return replace(shard, parts=(replace(part, index=fmt.index(part.file, starts)),))

    return index


def rows_of(reads: Iterable[Read]) -> tuple[Rows, Rows]:
    """The rows of all batches; every batch must keep to its schema and its bounds."""
    documents: Rows = []
    quarantined: Rows = []
    for read in reads:
        pairs = ((read.documents, DOCUMENT_SCHEMA), (read.quarantined, QUARANTINE_SCHEMA))
        for (batch, schema), rows in zip(pairs, (documents, quarantined), strict=True):
            if batch is not None:
                assert batch.schema == schema
                assert 0 < batch.num_rows <= MAX_BATCH_ROWS
                assert batch.nbytes <= MAX_BATCH_BYTES
                batch.validate(full=True)
                rows += batch.to_pylist()
    return documents, quarantined


def texts(rows: Rows) -> list[str]:
    return [row["text"] for row in rows]


def codes(rows: Rows) -> list[tuple[int, str]]:
    """(offset, code) of quarantined rows."""
    return [(row["_offset"], row["code"]) for row in rows]


def json_lines(rows: Iterable[Any]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def packed(data: bytes, suffix: str) -> bytes:
    """``data`` as a file with this suffix holds it: one member, or one frame."""
    if suffix == ".gz":
        return gzip.compress(data, mtime=0)
    if suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return bytes(sink.getvalue())
    if suffix in (".bz2", ".xz"):
        return bz2.compress(data) if suffix == ".bz2" else lzma.compress(data)
    return data


def string_table(values: Sequence[bytes | None], **others: Sequence[Any]) -> pa.Table:
    """A column ``text`` of these bytes, UTF-8 or not, beside other columns."""
    array = pa.array(values, pa.binary()).view(pa.string())
    return pa.table({"text": array, **{name: pa.array(v) for name, v in others.items()}})
