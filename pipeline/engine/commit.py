"""The commit: a task's files get their place in the store, and then the receipt says they exist.

Order matters. Files are written under a temporary name, their footers re-read, hashed and synced;
renamed; and last the receipt is renamed into place. A crash before that leaves files that no
receipt lists, which do not exist for winnow and are overwritten by the next try.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.engine.failpoints import reach
from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.lock import Fence
from pipeline.engine.stage import (
    DROPPED,
    DROPPED_ROWS,
    KEPT,
    KEPT_ROWS,
    QUARANTINE,
    RECEIPT,
    Counts,
    Output,
    Receipt,
    Task,
    TaskResult,
    task_folder,
)
from pipeline.errors import ShardError


def commit(
    store: Path, stage: str, task: Task, out: Path, result: TaskResult, *fences: Fence
) -> Receipt:
    """Commit everything under ``out`` as the outputs of ``task``, a task of ``stage``.

    Raises ShardError when the rows do not add up, a Parquet file cannot be read back, or another
    run has taken over a lock of ``fences``; nothing is committed then.
    """
    folder = task_folder(store, task.fingerprint)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    outputs = [_describe(path, out) for path in files]
    if result.counts is not None:
        check_balance(result.counts, outputs)
    for path in files:
        _sync(path)
    reach("files-synced")
    _check(fences)
    for number, path in enumerate(files):
        target = folder / path.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        if number == 0:
            reach("first-file-renamed")
    for parent in {(folder / path.relative_to(out)).parent for path in files}:
        _sync(parent)
    reach("files-renamed")
    receipt = Receipt(
        stage=stage,
        key=task.key,
        fingerprint=task.fingerprint,
        outputs=outputs,
        counts=result.counts,
        metrics=dict(result.metrics),
        inputs=dict(result.inputs),
    )
    _commit_receipt(receipt, folder / RECEIPT, out, fences)
    return receipt


def _commit_receipt(receipt: Receipt, path: Path, scratch: Path, fences: Sequence[Fence]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = scratch / "receipt.json"
    temporary.write_bytes(receipt.model_dump_json(indent=1).encode() + b"\n")
    _sync(temporary)
    reach("receipt-written")
    _check(fences)
    temporary.replace(path)
    _sync(path.parent)
    reach("receipt-renamed")


def _check(fences: Sequence[Fence]) -> None:
    for fence in fences:
        fence.check()


def check_balance(counts: Counts, outputs: list[Output]) -> None:
    """Rows in + expanded = kept + dropped + quarantined, and the files hold just those rows."""
    dropped = sum(t.documents for reasons in counts.dropped.values() for t in reasons.values())
    quarantined = sum(counts.quarantined.values())
    out = counts.kept.documents + dropped + quarantined
    if counts.rows + counts.expanded != out:
        raise ShardError(
            "rows-lost",
            f"{counts.rows} rows in + {counts.expanded} expanded, but {counts.kept.documents} kept "
            f"+ {dropped} dropped + {quarantined} quarantined = {out}",
            "this is a fault of a reader or step; nothing was committed",
        )
    kept = counts.kept.documents
    if dropped == counts.expanded == 0 and not _written(outputs, KEPT, KEPT_ROWS):
        kept = 0  # a stage that left all documents of an earlier one as they were
    for rows, folders in (
        (kept, (KEPT, KEPT_ROWS)),
        (dropped, (DROPPED, DROPPED_ROWS)),
        (quarantined, (QUARANTINE,)),
    ):
        written = sum(output.rows or 0 for output in _written(outputs, *folders))
        if written != rows:
            raise ShardError("rows-lost", f"{folders[0]} holds {written} rows, counted were {rows}")


def _written(outputs: list[Output], *folders: str) -> list[Output]:
    return [output for output in outputs if output.path.startswith(folders)]


def _describe(path: Path, root: Path) -> Output:
    rows = None
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_metadata(path).num_rows
        except (pa.ArrowException, OSError) as error:
            raise ShardError("unreadable-output", f"{path.name}: {error}") from error
    return Output(
        path=path.relative_to(root).as_posix(),
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
        rows=rows,
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file so that a reader sees the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        _sync(temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
