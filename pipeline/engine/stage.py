"""Stages and tasks: the plan as a graph of independent pieces of work.

A stage is a set of tasks that do not depend on each other. A task writes files into a folder of
its own; the engine commits them (fsync, rename, receipt). What no receipt lists does not exist.

A task's fingerprint is made of the name and version of its stage, parameters and the digests of
what it reads. It names the task's folder in the store, so equal work of two runs is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.engine.fingerprint import digest

if TYPE_CHECKING:
    from pipeline.shard_documents import ShardDocuments

# Of a stage that writes documents:
KEPT = "kept/"
DROPPED = "dropped/"
# Of one that annotates those of an earlier stage; nothing where all stay and no column is added.
KEPT_ROWS = "kept_rows/"
DROPPED_ROWS = "dropped_rows/"
QUARANTINE = "quarantine/"


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
    is step → reason → count; ``entered`` is step → what reached it; ``by_source`` is source →
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
    """A committed file; ``path`` is relative to the task's folder, ``rows`` only for Parquet."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


class Receipt(BaseModel):
    """Proof that a task is done. Holds no times and no host, so equal work gives equal bytes.

    ``inputs`` are the sha256 of what the task read from outside, by its name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 2
    stage: str
    key: str
    fingerprint: str
    outputs: list[Output]
    counts: Counts | None = None
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)

    def given(self, under: str = "") -> list[Any]:
        """What the task gave to those who read it: its files whose path begins ``under``, each
        with its digest. Without ``under``, all but dropped and quarantined rows, and metrics."""
        files = [[o.path, o.sha256] for o in self.outputs if o.path.startswith(under)]
        if under:
            return files
        aside = (DROPPED, DROPPED_ROWS, QUARANTINE)
        return [[f for f in files if not f[0].startswith(aside)], self.metrics]


RECEIPT = "receipt.json"


def task_folder(store: Path, fingerprint: str) -> Path:
    """Where a task's files and its receipt are."""
    return store / "tasks" / fingerprint[:2] / fingerprint


def find_receipt(store: Path, fingerprint: str) -> Receipt | None:
    """A task's receipt, if there is one that can be read."""
    try:
        text = (task_folder(store, fingerprint) / RECEIPT).read_bytes()
        receipt = Receipt.model_validate_json(text)
    except (FileNotFoundError, ValueError):
        return None
    return receipt if receipt.fingerprint == fingerprint else None


@dataclass(eq=False)
class StageOutputs:
    """What a stage has committed. Tasks of later stages carry it along; it is small to pickle.

    ``fingerprints`` (key → fingerprint) is filled by the engine when a task's input is known;
    ``missing`` are the keys of shards that failed and that the run goes on without.
    """

    store: Path
    all_keys: tuple[str, ...]
    fingerprints: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the tasks that the run goes on with, in order."""
        return tuple(key for key in self.all_keys if key not in self.missing)

    def folder(self, key: str) -> Path:
        """A task's folder. KeyError while its input is not known."""
        return task_folder(self.store, self.fingerprints[key])

    def receipt(self, key: str) -> Receipt:
        """Raises FileNotFoundError while the task is not committed."""
        receipt = self.find(key)
        if receipt is None:
            raise FileNotFoundError(f"task {key} is not committed")
        return receipt

    def receipts(self) -> list[Receipt]:
        """Receipts of the tasks that are committed, in task order."""
        return [receipt for key in self.keys if (receipt := self.find(key)) is not None]

    def find(self, key: str) -> Receipt | None:
        """A task's receipt, None while it is not committed."""
        fingerprint = self.fingerprints.get(key)
        return None if fingerprint is None else find_receipt(self.store, fingerprint)

    def outputs(self, under: str = "", key: str | None = None) -> list[Path]:
        """Committed files of all tasks (or of ``key``) in order, whose path begins ``under``.

        Raises FileNotFoundError while a task is not committed.
        """
        keys = self.keys if key is None else (key,)
        return [
            self.folder(receipt.key) / output.path
            for receipt in map(self.receipt, keys)
            for output in receipt.outputs
            if output.path.startswith(under)
        ]

    def committed_files(self, under: str) -> Iterator[Path]:
        """The same of the tasks that are committed, whatever others lack."""
        for receipt in self.receipts():
            for output in receipt.outputs:
                if output.path.startswith(under):
                    yield self.folder(receipt.key) / output.path


@dataclass(frozen=True)
class Reads:
    """What a task reads of an earlier stage: all of it, or the tasks ``keys``; all files, or those
    whose path begins ``under`` (then metrics do not count either)."""

    outputs: StageOutputs
    keys: tuple[str, ...] | None = None
    under: str = ""

    @property
    def lost(self) -> bool:
        """Whether it names a shard that failed, so that the task cannot be done either."""
        return any(key in self.outputs.missing for key in self.keys or ())

    def given(self) -> list[Any] | None:
        """What is read, of each task that gives any; None while some of it is not committed."""
        found = [self.outputs.find(key) for key in self.keys or self.outputs.keys]
        if any(receipt is None for receipt in found):
            return None
        return [given for r in found if r is not None and (given := r.given(self.under))]


@dataclass(frozen=True)
class CorpusView:
    """Documents as stages have left them: those that ``base`` wrote, through what each stage of
    ``annotations`` decided since."""

    base: StageOutputs
    annotations: tuple[StageOutputs, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the shards that the run goes on with, in order."""
        return (self.base, *self.annotations)[-1].keys

    def shard(self, key: str) -> ShardDocuments:
        """The documents of one shard. Raises FileNotFoundError while it is not committed."""
        from pipeline.shard_documents import ShardDocuments

        (file,) = self.base.outputs(KEPT, key)
        annotations = (path for o in self.annotations for path in o.outputs(KEPT_ROWS, key))
        return ShardDocuments(file, tuple(annotations))

    def shards(self) -> tuple[ShardDocuments, ...]:
        """All shards, in order."""
        return tuple(map(self.shard, self.keys))

    def reads(self, *keys: str) -> tuple[Reads, ...]:
        """What a task reads for the documents of ``keys``, of all shards without."""
        chosen = keys or None
        return (
            Reads(self.base, chosen, KEPT),
            *(Reads(outputs, chosen, KEPT_ROWS) for outputs in self.annotations),
        )


@dataclass(frozen=True)
class TaskResult:
    """What a task reports; its files are found by looking into ``TaskContext.out``."""

    counts: Counts | None = None
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskContext:
    """Where a task works. Everything under ``out`` when it returns is committed under the same
    relative path in the task's folder. ``progress(done, total)`` feeds the progress bar."""

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

    ``reads`` is what it reads of earlier stages (None: all of the stages that its stage comes
    after), ``inputs`` are the versions of files from outside by name, and ``parameters`` those
    that are its own, by their place in the manifest; with ``numbered``, its place among the tasks
    of its stage counts too. ``bytes`` is the size of its input, and ``effort`` what its time grows
    with where that is something else (floating-point operations, say), for estimates. The engine
    sets ``fingerprint``.
    """

    key: str
    spec: TaskSpec
    label: str = ""
    bytes: int = 0
    reads: tuple[Reads, ...] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    numbered: bool = False
    effort: float = 0
    fingerprint: str = ""

    @property
    def weight(self) -> float:
        """What its time grows with, in whatever unit its stage uses."""
        return self.effort or self.bytes or 1

    @property
    def is_lost(self) -> bool:
        """Whether a shard that it reads has failed."""
        return any(reads.lost for reads in self.reads or ())


@dataclass(frozen=True)
class Stage:
    """``name`` is readable and unique in the run. ``parameters`` by their place in the manifest
    and ``versions`` (of steps, formats, kernels and the stage itself) are what it is made from;
    ``after`` are the names of the stages it builds on, ``steps`` the manifest's steps done here.
    ``before`` are the documents that these work on, and with ``annotates`` the stage writes none of
    its own."""

    name: str
    kind: str
    tasks: tuple[Task, ...]
    parameters: Mapping[str, Any]
    versions: Mapping[str, str | int]
    outputs: StageOutputs
    after: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    before: CorpusView | None = None
    annotates: bool = False

    @property
    def corpus(self) -> CorpusView:
        """The documents that the stage leaves."""
        if not self.annotates:
            return CorpusView(self.outputs)
        assert self.before is not None, "a stage annotates documents of an earlier one"
        return CorpusView(self.before.base, (*self.before.annotations, self.outputs))

    def dropped(self, key: str) -> Iterator[ShardDocuments]:
        """The documents that a committed task dropped, with step, reason and signals."""
        from pipeline.shard_documents import ShardDocuments

        for path in self.outputs.outputs(DROPPED, key):
            yield ShardDocuments(path)
        for path in self.outputs.outputs(DROPPED_ROWS, key):
            assert self.before is not None, "rows are those of documents of an earlier stage"
            documents = self.before.shard(key)
            yield ShardDocuments(documents.file, (*documents.annotations, path))

    @cached_property
    def recipe(self) -> str:
        """What its tasks have in common, as a digest."""
        return digest([self.kind, self.parameters, self.versions])

    @property
    def fingerprint(self) -> str:
        """Of all its tasks; of the recipe alone while their input is not known."""
        known = [[key, self.outputs.fingerprints.get(key)] for key in self.outputs.keys]
        return digest([self.recipe, known])

    def resolve(self, task: Task, place: int) -> Task | None:
        """The task with its fingerprint; None while something that it reads is not committed.

        ``place`` is its number, from 0, among the tasks that the run goes on with.
        """
        read = [reads.given() for reads in task.reads or ()]
        if any(given is None for given in read):
            return None
        # A stage that gave nothing counts for nothing: it may as well not be there.
        given = [digest(given) for given in read if given]
        number = place if task.numbered else None
        own = [task.key, sorted(task.inputs.items()), task.parameters, number, given]
        fingerprint = digest([self.recipe, own])
        self.outputs.fingerprints[task.key] = fingerprint
        return Task(**{**vars(task), "fingerprint": fingerprint})


class StageMaker(Protocol):
    """Makes a stage of an extension; ``name`` is unique among the extension's.

    ``parameters`` are what its tasks have in common, by place in the manifest. Raise ``version``
    when the same parameters and input give other bytes.
    """

    def __call__(
        self,
        name: str,
        tasks: Sequence[Task],
        parameters: Mapping[str, Any],
        after: Sequence[Stage],
        version: int = 1,
    ) -> Stage: ...
