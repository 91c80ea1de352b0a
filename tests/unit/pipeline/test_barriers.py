from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards import commit_shards
from works import documents

from pipeline.barriers import ConcludeWork, ObserveWork
from pipeline.documents import Docs
from pipeline.rows import FINDINGS, ApplyWork
from pipeline.stage import Committed, Desk
from pipeline.step import BarrierStep, Evidence, Position, Verdict


class KeepLongest(BarrierStep):
    """Keeps the longest documents of the whole corpus."""

    def observe(self, docs: Docs) -> pa.RecordBatch:
        lengths = [len(text) for text in docs.text.to_pylist()]
        return pa.record_batch({"length": pa.array(lengths, pa.int64())})

    def conclude(self, evidence: Evidence, folder: Path) -> Mapping[str, Any]:
        lengths = [n for p in evidence.observations for n in pq.read_table(p)["length"].to_pylist()]
        longest = max(lengths, default=0)
        (folder / "longest").write_text(str(longest))
        return {"longest": longest, "seed": evidence.seed, "shards": len(evidence.documents)}

    def judge(self, docs: Docs, findings: Path, at: Position) -> Verdict:
        longest = int((findings / "longest").read_text())
        keep = np.array([len(t) >= longest for t in docs.text.to_pylist()], dtype=bool)
        rows = np.arange(len(docs)) + at.row
        return Verdict(keep, "shorter", signals={"row": rows, "shard": rows * 0 + at.shard})


@pytest.fixture
def corpus(tmp_path: Path) -> Committed:
    shards = {"a-0": documents(["x", "xxx"]), "a-1": documents([]), "b-0": documents(["xx", "xxx"])}
    return commit_shards(tmp_path / "corpus", shards)


def observed(corpus: Committed, folder: Path) -> Committed:
    for key in corpus.keys:
        ObserveWork(key, corpus, KeepLongest()).run(Desk(folder))
    return commit_shards(folder, dict.fromkeys(corpus.keys), under="observed/")


def test_every_shard_is_observed_even_an_empty_one(corpus: Committed, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    lengths = [pq.read_table(path)["length"].to_pylist() for path in found.outputs("observed/")]
    assert lengths == [[1, 3], [], [2, 3]]


def test_conclusion_sees_all_shards_in_order(corpus: Committed, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    outcome = ConcludeWork(corpus, found, KeepLongest(), 5).run(Desk(tmp_path / "concluded"))
    assert outcome.facts == {"longest": 3, "seed": 5, "shards": 3}
    assert (tmp_path / "concluded" / FINDINGS / "longest").read_text() == "3"


def test_conclusion_is_applied_to_every_shard_with_its_position(
    corpus: Committed, tmp_path: Path
) -> None:
    found = observed(corpus, tmp_path / "observed")
    folder = tmp_path / "concluded"
    ConcludeWork(corpus, found, KeepLongest(), 5).run(Desk(folder))
    findings = commit_shards(folder, {"findings": None}, under=None)
    out = tmp_path / "applied"
    for number, key in enumerate(corpus.keys):
        ApplyWork(key, number, corpus, findings, "longest", KeepLongest()).run(Desk(out))
    kept = [
        pq.read_table(out / "kept" / f"{key}.parquet")["text"].to_pylist() for key in corpus.keys
    ]
    assert kept == [["xxx"], [], ["xxx"]]
    (row,) = pq.read_table(out / "dropped" / "b-0.parquet").to_pylist()
    assert (row["step"], row["reason"]) == ("longest", "shorter")
    assert row["signals"] == '{"row":0,"shard":2}'


def test_findings_that_are_not_committed_stop_the_application(
    corpus: Committed, tmp_path: Path
) -> None:
    missing = Committed(tmp_path / "nowhere", ("findings",))
    with pytest.raises(FileNotFoundError):
        ApplyWork("a-0", 0, corpus, missing, "longest", KeepLongest()).run(Desk(tmp_path / "x"))


class Patient(KeepLongest):
    """Tells how far its conclusion is."""

    def conclude(self, evidence: Evidence, folder: Path) -> Mapping[str, Any]:
        for done in range(3):
            evidence.progress(done, 2)
        return {}


def test_a_conclusion_tells_how_far_it_is(corpus: Committed, tmp_path: Path) -> None:
    found = observed(corpus, tmp_path / "observed")
    told: list[tuple[float, float]] = []
    desk = Desk(tmp_path / "found", lambda done, total: told.append((done, total)))
    ConcludeWork(corpus, found, Patient(), seed=1).run(desk)
    assert told == [(0, 2), (1, 2), (2, 2)]
