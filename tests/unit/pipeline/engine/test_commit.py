from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tasks import Write, documents

from pipeline.engine.commit import check_balance, commit, write_atomically
from pipeline.engine.lock import Fence
from pipeline.engine.stage import (
    RECEIPT,
    Count,
    Counts,
    Output,
    Task,
    TaskResult,
    find_receipt,
    task_folder,
)
from pipeline.errors import ShardError

TASK = Task("task", Write("x"), fingerprint="fp")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp" / "task.1"
    (folder / "kept").mkdir(parents=True)
    return folder


def test_receipt_lists_every_file_with_its_digest(tmp_path: Path, out: Path) -> None:
    pq.write_table(pa.Table.from_batches([documents(["a", "b"])]), out / "kept" / "x.parquet")
    (out / "note.txt").write_text("hello")
    receipt = commit(tmp_path, "s", TASK, out, TaskResult(metrics={"n": 1}))
    assert [(o.path, o.rows) for o in receipt.outputs] == [
        ("kept/x.parquet", 2),
        ("note.txt", None),
    ]
    assert find_receipt(tmp_path, "fp") == receipt
    assert (task_folder(tmp_path, "fp") / "note.txt").read_text() == "hello"


def test_equal_work_gives_an_equal_receipt(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name / "tmp"
        folder.mkdir(parents=True)
        (folder / "f").write_text("same")
        commit(tmp_path / name, "s", TASK, folder, TaskResult())
        texts.append((task_folder(tmp_path / name, "fp") / RECEIPT).read_bytes())
    assert texts[0] == texts[1]


def test_unreadable_parquet_is_not_committed(tmp_path: Path, out: Path) -> None:
    (out / "kept" / "x.parquet").write_bytes(b"PAR1 this is no Parquet file PAR1")
    with pytest.raises(ShardError, match=r"x\.parquet") as caught:
        commit(tmp_path, "s", TASK, out, TaskResult())
    assert caught.value.code == "unreadable-output"
    assert find_receipt(tmp_path, "fp") is None


def test_lost_row_stops_the_commit(tmp_path: Path, out: Path) -> None:
    pq.write_table(pa.Table.from_batches([documents(["a"])]), out / "kept" / "x.parquet")
    outcome = TaskResult(Counts(rows=2, kept=Count(documents=1, bytes=1)))
    with pytest.raises(ShardError, match="2 rows in"):
        commit(tmp_path, "s", TASK, out, outcome)
    assert find_receipt(tmp_path, "fp") is None


def test_file_with_fewer_rows_than_counted_stops_the_commit() -> None:
    counts = Counts(rows=2, kept=Count(documents=2, bytes=2))
    outputs = [Output(path="kept/x.parquet", bytes=1, sha256="", rows=1)]
    with pytest.raises(ShardError, match="kept/ holds 1 rows, counted were 2"):
        check_balance(counts, outputs)


def test_all_doors_count_in_the_balance() -> None:
    counts = Counts(
        rows=5,
        expanded=1,
        kept=Count(documents=2, bytes=0),
        dropped={"s": {"r": Count(documents=2, bytes=0), "q": Count(documents=1, bytes=0)}},
        quarantined={"bad": 1},
    )
    outputs = [
        Output(path=path, bytes=1, sha256="", rows=rows)
        for path, rows in [
            ("kept/a.parquet", 2),
            ("dropped/a.parquet", 3),
            ("quarantine/a.parquet", 1),
        ]
    ]
    check_balance(counts, outputs)


def test_holder_that_lost_the_lock_cannot_commit(tmp_path: Path, out: Path) -> None:
    (out / "f").write_text("x")
    lock = tmp_path / "lock.json"
    lock.write_text('{"host": "h", "place": "p", "pid": 1, "born": 1, "token": "theirs"}')
    with pytest.raises(ShardError, match="taken over"):
        commit(tmp_path, "s", TASK, out, TaskResult(), Fence(lock, "mine"))
    assert not task_folder(tmp_path, "fp").exists()


def test_new_receipt_replaces_the_old_one(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"tmp{number}"
        folder.mkdir()
        (folder / "f").write_text(str(number))
        commit(tmp_path, "s", TASK, folder, TaskResult(metrics={"number": number}))
    receipt = find_receipt(tmp_path, "fp")
    assert receipt is not None
    assert receipt.metrics == {"number": 2}
    assert (task_folder(tmp_path, "fp") / "f").read_text() == "2"


def test_atomic_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.json", "one")
    write_atomically(tmp_path / "a" / "b.json", b"two")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]
    assert (tmp_path / "a" / "b.json").read_text() == "two"
