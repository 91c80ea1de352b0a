"""Documents of a run as files of their own, apart from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.engine.run_documents import RunShard
from pipeline.errors import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

ExportFormat = Literal["parquet", "jsonl"]


def export(
    shards: list[RunShard], to: Path, kind: ExportFormat, *, by_stage: bool = False
) -> tuple[int, int]:
    """Write ``shards`` into the folder ``to``: ``SOURCE/SHARD.parquet``, or ``.jsonl.zst``; with
    ``by_stage``, below a folder for each stage, of which several may drop documents of a shard.

    A file is there as a whole or not at all. Returns how many files and documents there are.
    Raises Refusal when the folder holds anything already, or cannot be written.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
        if any(to.iterdir()):
            raise Refusal("not-empty", f"{to} is not empty", "name another folder with --to")
        files = rows = 0
        for shard in shards:
            if not len(shard.documents):
                continue
            folder = to / shard.stage if by_stage else to
            path = folder / shard.source / f"{shard.key.rpartition('-')[2]}.{_SUFFIXES[kind]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            _WRITERS[kind](shard, temporary)
            temporary.replace(path)
            files, rows = files + 1, rows + len(shard.documents)
    except OSError as error:
        message = f"cannot write to {to}: {error.strerror}"
        raise Refusal("export-failed", message, "name another folder with --to") from error
    return files, rows


def _write_parquet(shard: RunShard, path: Path) -> None:
    from pipeline.parquet import DocumentWriter

    with DocumentWriter(path, shard.documents.schema) as writer:
        for batch in shard.documents.batches():
            writer.write(batch)


def _write_jsonl(shard: RunShard, path: Path) -> None:
    import pyarrow as pa

    with pa.CompressedOutputStream(str(path), "zstd") as file:
        for batch in shard.documents.batches():
            file.write(b"".join(_lines(batch)))


def _lines(batch: pa.RecordBatch) -> Iterator[bytes]:
    """One JSON object per document. ``metadata`` and ``signals`` are objects, which in tables are
    their text; fields without a value are left out."""
    import orjson

    for row in batch.to_pylist():
        found: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        for name in ("metadata", "signals"):
            if name in found:
                found[name] = orjson.Fragment(found[name])
        yield orjson.dumps(found, default=str) + b"\n"


_SUFFIXES: dict[ExportFormat, str] = {"parquet": "parquet", "jsonl": "jsonl.zst"}
_WRITERS: dict[ExportFormat, Callable[[RunShard, Path], None]] = {
    "parquet": _write_parquet,
    "jsonl": _write_jsonl,
}
