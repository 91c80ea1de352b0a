"""Tasks for tests of the engine; a module of its own, so that worker processes can import it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.engine.lock import Fence
from pipeline.engine.stage import Task, TaskContext, TaskResult, TaskSpec
from pipeline.engine.worker import Job
from pipeline.errors import ShardError
from pipeline.step import FilterResult, RowStep


@dataclass(frozen=True)
class Write:
    """Writes one small file."""

    text: str

    def run(self, context: TaskContext) -> TaskResult:
        context.progress(1, 2)
        (context.out / f"{self.text}.txt").write_text(self.text)
        return TaskResult(metrics={"length": len(self.text)})


@dataclass(frozen=True)
class DieUntil:
    """Kills its own process until ``marker`` has been there ``times`` times."""

    marker: Path
    times: int

    def run(self, context: TaskContext) -> TaskResult:
        seen = len(self.marker.read_text()) if self.marker.exists() else 0
        if seen < self.times:
            self.marker.write_text("x" * (seen + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return TaskResult()


@dataclass(frozen=True)
class KillIdle:
    """Waits until another worker of the pool has nothing to do, and kills it."""

    marker: Path

    def run(self, context: TaskContext) -> TaskResult:
        if not self.marker.exists():
            deadline = time.monotonic() + 20
            while not (idle := self._idle()) and time.monotonic() < deadline:
                os.sched_yield()
            self.marker.touch()
            os.kill(idle[0], signal.SIGKILL)
        return TaskResult()

    def _idle(self) -> list[int]:
        """Sisters of this process that wait for a semaphore or a pipe while nothing is claimed
        but this task."""
        claims = list((scratch_of(self.marker) / "claims").glob("*.json"))
        if len(claims) > 1:
            return []
        siblings = Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text().split()
        # The first child is datatrove's manager; pool workers come after it.
        return [int(pid) for pid in siblings[1:] if int(pid) != os.getpid()]


def scratch_of(marker: Path) -> Path:
    return marker.parent / "scratch"


@dataclass(frozen=True)
class Raise:
    """Fails, as winnow's own fault or as anybody's."""

    own: bool

    def run(self, context: TaskContext) -> TaskResult:
        if self.own:
            raise ShardError("bad-shard", "the shard is bad", "mend it")
        raise ValueError("a fault in a step")


@dataclass(frozen=True)
class Exit:
    """Ends its process, or tries to."""

    def run(self, context: TaskContext) -> TaskResult:
        raise SystemExit(0)


@dataclass(frozen=True)
class NeverReturn:
    """Waits for something that does not come."""

    def run(self, context: TaskContext) -> TaskResult:
        while True:
            time.sleep(0.05)


@dataclass(frozen=True)
class Unprepared:
    """Cannot even be prepared."""

    def prepare(self) -> None:
        raise RuntimeError("no dictionary")

    def run(self, context: TaskContext) -> TaskResult:
        return TaskResult()


class DropShort(RowStep):
    """Drops texts shorter than ``least`` characters."""

    least: int = 3

    def filter(self, docs):  # type: ignore[no-untyped-def]
        lengths = np.array([len(text) for text in docs.text.to_pylist()], dtype=np.int64)
        return FilterResult(keep=lengths >= self.least, reason="short", signals={"length": lengths})


class Misshapen(RowStep):
    """Returns a mask of the wrong length."""

    def filter(self, docs):  # type: ignore[no-untyped-def]
        return FilterResult(keep=np.ones(len(docs) + 1, dtype=bool))


class Shout(RowStep):
    """Edits the text and adds a column."""

    def edits_text(self) -> bool:
        return True

    def adds(self):  # type: ignore[no-untyped-def]
        return {"loudness": pa.float32()}

    def filter(self, docs):  # type: ignore[no-untyped-def]
        texts = docs.text.to_pylist()
        return FilterResult(
            keep=np.ones(len(docs), dtype=bool),
            text=pa.array([text.upper() for text in texts], pa.large_string()),
            columns={"loudness": np.array([float(len(text)) for text in texts], np.float32)},
        )


def documents(texts: list[str], source: str = "web") -> pa.RecordBatch:
    """A batch of documents with these texts."""
    rows = [
        {
            "id": f"{source}/{number}",
            "text": text,
            "source": source,
            "url": None,
            "language": None,
            "metadata": None,
            "_source": f"{source}.jsonl",
            "_offset": number,
        }
        for number, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)


def job(folder: Path, specs: dict[str, TaskSpec], stage: str = "test") -> Job:
    """A job of one stage with a task for each of ``specs``; its store is ``folder``."""
    tasks = tuple(
        Task(key, spec, label=f"label of {key}", fingerprint=f"fp-{key}")
        for key, spec in specs.items()
    )
    scratch = folder / "scratch"
    for name in ("claims", "failures", "progress"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    return Job(stage, folder, tasks, folder / "tmp", scratch, Fence())
