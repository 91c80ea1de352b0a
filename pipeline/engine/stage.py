"""Stages and tasks: the plan as a graph of independent pieces of work.

A stage is a set of tasks that do not depend on each other. A task writes files into a folder of
its own; the engine commits them (fsync, rename, receipt). What no receipt lists does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Count(BaseModel):
    """Documents and bytes of UTF-8 text."""

    documents: int = 0
    bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(documents=self.documents + other.documents, bytes=self.bytes + other.bytes)


class Counts(BaseModel):
    """Where the rows of one task went.

    ``rows`` is what the reader met (documents and bad rows). Always
    ``rows + expanded == kept + dropped + quarantined``, checked before every commit. ``dropped``
    is step → reason → tally; ``entered`` is step → what reached it; ``by_source`` is source →
    kept.
    """

    rows: int = 0
    expanded: int = 0
    kept: Count = Count()
    entered: dict[str, Count] = Field(default_factory=dict)
    dropped: dict[str, dict[str, Count]] = Field(default_factory=dict)
    quarantined: dict[str, int] = Field(default_factory=dict)
    by_source: dict[str, Count] = Field(default_factory=dict)


class Output(BaseModel):
    """A committed file; ``path`` is relative to the stage's folder, ``rows`` only for Parquet."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


class Receipt(BaseModel):
    """Proof that a task is done. Holds no times and no host, so equal work gives equal bytes."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    stage: str
    key: str
    fingerprint: str
    outputs: list[Output]
    counts: Counts | None = None
    metrics: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass(frozen=True)
class StageOutputs:
    """A stage seen from outside: where its receipts are. Small, and safe to pickle into a task.

    With ``fingerprints`` [keys], receipts that carry others are of older input and do not count.
    """

    folder: Path
    keys: tuple[str, ...]
    fingerprints: tuple[str, ...] = ()

    def receipt_path(self, key: str) -> Path:
        return self.folder / "receipts" / f"{key}.json"

    def receipt(self, key: str) -> Receipt:
        """Raises FileNotFoundError while the task is not committed."""
        return Receipt.model_validate_json(self.receipt_path(key).read_bytes())

    def receipts(self) -> list[Receipt]:
        """Receipts of the tasks that are committed, in task order."""
        return [receipt for key in self.keys if (receipt := self.find(key)) is not None]

    def find(self, key: str) -> Receipt | None:
        """A task's receipt, if there is one that can be read and is of the present input."""
        try:
            receipt = self.receipt(key)
        except (FileNotFoundError, ValueError):
            return None
        wanted = self.fingerprints[self.keys.index(key)] if self.fingerprints else ""
        return receipt if wanted in ("", receipt.fingerprint) else None

    def outputs(self, under: str = "", key: str | None = None) -> list[Path]:
        """StageOutputs files of all tasks (or of ``key``) in order, whose path begins ``under``.

        Raises FileNotFoundError while a task is not committed.
        """
        keys = self.keys if key is None else (key,)
        return [
            self.folder / output.path
            for receipt in map(self.receipt, keys)
            for output in receipt.outputs
            if output.path.startswith(under)
        ]


@dataclass(frozen=True)
class TaskResult:
    """What a task reports; its files are found by looking into ``TaskContext.out``."""

    counts: Counts | None = None
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskContext:
    """Where a task works. Everything under ``out`` when it returns is committed under the same
    relative path in the stage's folder. ``progress(done, total)`` feeds the progress bar."""

    out: Path
    progress: Callable[[float, float], None] = lambda done, total: None


class TaskSpec(Protocol):
    """A picklable task: a frozen dataclass of plain values, run in some worker process.

    Must give byte-identical files for equal fields and equal inputs, however often and wherever
    it runs. Raises ShardError for faults of its input.
    """

    def run(self, context: TaskContext) -> TaskResult: ...


@dataclass(frozen=True)
class Task:
    """``key`` is unique in the stage and safe as a file name; ``label`` is what users see.

    ``fingerprint`` is what the receipt must carry; empty stands for the stage's own. ``bytes`` is
    the size of the input, for estimates.
    """

    key: str
    spec: TaskSpec
    label: str = ""
    bytes: int = 0
    fingerprint: str = ""


@dataclass(frozen=True)
class Stage:
    """``name`` is readable and ordered (``02-exact_dedup``); the folder also carries the
    fingerprint, so it is never stale. ``parameters`` and ``code`` are what it was made from, kept
    so that ``plan`` can say which field changed."""

    name: str
    fingerprint: str
    folder: Path
    tasks: tuple[Task, ...]
    parameters: Mapping[str, Any]
    after: tuple[str, ...] = ()  # fingerprints it builds on
    code: str = ""
    steps: tuple[str, ...] = ()  # manifest steps done here, for the funnel

    @cached_property
    def committed(self) -> StageOutputs:
        """What tasks of later stages carry along to find this stage's files."""
        keys = tuple(task.key for task in self.tasks)
        return StageOutputs(self.folder, keys, tuple(task.fingerprint for task in self.tasks))


KEPT = "kept/"
DROPPED = "dropped/"
QUARANTINE = "quarantine/"


class StageMaker(Protocol):
    """Gives a stage its number, fingerprint and folder."""

    def __call__(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        code: Sequence[str],
    ) -> Stage: ...
