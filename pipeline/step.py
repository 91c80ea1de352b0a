"""What a step is. Filters, dedup and classifiers build on this and on nothing deeper.

A step is data: its fields are its parameters, and the manifest's schema and the reference pages
are generated from them. A row step judges documents one batch at a time. A global step needs to
have seen all documents before it can judge any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

from pipeline.documents import BoolArray, ColumnType, Docs
from pipeline.errors import Problem
from pipeline.report.blocks import ReportSection

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from pipeline.shard_documents import ShardDocuments

    Signals: TypeAlias = Mapping[str, npt.NDArray[Any]]
else:  # what annotations need where they are evaluated, without loading numpy
    Signals = Mapping[str, Any]
# Leads to a parameter of a step, or to a value within one: ("students", 0).
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class FilterResult:
    """What a step decided on a batch: one value for each of its documents [rows], in their order.

    ``keep`` [rows] is true for documents that stay; a list, or 0 and 1, will do. ``reason`` is why
    the others go: one string for all of them, or one per row (read only where ``keep`` is false).
    Every dropped document has one. ``signals`` are measured values [rows], written beside dropped
    documents and drawn in the report. ``columns`` [rows] are appended to the documents; the step
    declares them in ``adds``. ``text`` [rows] replaces the text when the step edits it
    (``edits_text``).
    """

    keep: BoolArray
    reason: str | Sequence[str] = ""
    signals: Mapping[str, pa.Array | npt.NDArray[Any]] = field(default_factory=dict)
    columns: Mapping[str, pa.Array | npt.NDArray[Any]] = field(default_factory=dict)
    text: pa.LargeStringArray | None = None

    @classmethod
    def of_codes(
        cls,
        codes: npt.NDArray[np.integer[Any]],
        reasons: Sequence[str],
        signals: Signals | None = None,
    ) -> FilterResult:
        """From ``codes`` [rows], where 0 keeps and ``i`` drops for ``reasons[i - 1]``."""
        import numpy as np

        keep = codes == 0
        named = np.array(["", *reasons], dtype=object)[codes]
        return cls(keep=keep, reason=named.tolist(), signals=signals or {})


@dataclass(frozen=True)
class ManifestView:
    """What a step or extension may know of the rest of the manifest while it is checked.

    ``columns`` are the names of the columns that earlier steps have added.
    """

    folder: Path
    seed: int
    sources: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column that a step reads: one of the documents' own, or one that an earlier step adds.

    ``holds`` is what must be in it: ``numbers``, or ``groups`` (text or whole numbers).
    """

    name: str
    holds: Literal["anything", "numbers", "groups"] = "anything"


class Step(BaseModel):
    """A named unit of work with typed parameters. Subclass RowStep or GlobalStep."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # Raise it when the same parameters and documents give another outcome: what was made with
    # another version is made again.
    version: ClassVar[int] = 1
    # The rooms of kernels that decide the outcome ("words", "ngrams"); their versions count too.
    kernels: ClassVar[tuple[str, ...]] = ()
    # Columns of earlier steps that this one may replace; of others the names must be new.
    replaces: ClassVar[frozenset[str]] = frozenset()
    # False for a step whose columns only its results name.
    declares_columns: ClassVar[bool] = True

    def check(self, view: ManifestView) -> Iterator[Problem]:
        """Problems that only show beside the rest of the manifest (unknown sources, say).

        ``Problem.path`` is relative to this step. Columns need no check here: see ``reads`` and
        ``adds``.
        """
        return iter(())

    def reads(self) -> Mapping[Location, Column]:
        """The columns that this step reads, by the place of the parameter that names each.

        Those that no earlier step adds, or that hold something else, are problems there.
        """
        return {}

    def adds(self) -> Mapping[str, ColumnType]:
        """The columns that this step appends, by name, and what is in them: a pyarrow type or its
        name (``float32``).

        What the step returns is checked against this. A type of None stands for a column of which
        only the documents show the type, or whether it comes at all.
        """
        return {}

    def edits_text(self) -> bool:
        """Whether the step may return texts of its own. Documents are written anew after it."""
        return False

    def prepare(self, sample: Docs) -> None:
        """Load what every worker needs (tables, compiled kernels), once, before they fork.

        ``sample`` is one made-up document with the columns that documents will have here; a step
        that uses kernels works on it, which compiles them. A step that starts threads doing so
        (torch does) must do something else: threads do not survive a fork.
        """


class RowStep(Step):
    """Judges each document by itself, in batches of at least one."""

    def filter(self, docs: Docs) -> FilterResult:
        raise NotImplementedError(f"{type(self).__name__}.filter")

    def prepare(self, sample: Docs) -> None:
        if self.kernels:
            self.filter(sample)

    def metrics(self) -> Mapping[str, JsonValue]:
        """What is to be known of the step beside its counts; kept with every shard's receipt.

        Under ``warnings``, a list of sentences for output, results and report.
        """
        return {}


@dataclass(frozen=True)
class Rule:
    """Drops a document for ``reason`` when its ``signal`` is below ``least`` or above ``most``.

    With ``defined``, a signal of NaN breaks the rule too (a share of nothing); without, it never
    does. ``parameter`` is the path of the parameter that sets the limit (``min_doc_words``,
    ``top_n_grams.0.1``), empty where none does.
    """

    reason: str
    signal: str
    parameter: str = ""
    least: float | None = None
    most: float | None = None
    defined: bool = False

    def broken(self, signals: Signals) -> BoolArray:
        """Which documents [rows] break the rule."""
        import numpy as np

        values = np.asarray(signals[self.signal])
        found = np.isnan(values) if self.defined else np.zeros(len(values), dtype=np.bool_)
        if self.least is not None:
            found = found | (values < self.least)
        if self.most is not None:
            found = found | (values > self.most)
        return found


class ThresholdFilter(RowStep):
    """A row step whose result follows from numbers: it measures, then compares with limits.

    So thresholds can be tried on stored signals without reading a text again.
    """

    def measure(self, docs: Docs) -> Signals:
        """Every signal that ``rules`` may ask for, of every document, whatever breaks a rule."""
        raise NotImplementedError(f"{type(self).__name__}.measure")

    def rules(self) -> Sequence[Rule]:
        """The rules that are on, in the order of judgement: the first one broken is the reason."""
        raise NotImplementedError(f"{type(self).__name__}.rules")

    def apply(self, signals: Signals) -> FilterResult:
        """The result on documents with these ``signals``."""
        import numpy as np

        rules = self.rules()
        rows = len(next(iter(signals.values())))
        codes = np.zeros(rows, dtype=np.int16)
        for code, rule in enumerate(rules, start=1):
            codes[(codes == 0) & rule.broken(signals)] = code
        return FilterResult.of_codes(codes, [rule.reason for rule in rules], signals)

    def filter(self, docs: Docs) -> FilterResult:
        return self.apply(self.measure(docs))


@dataclass(frozen=True)
class ReduceInput:
    """What a global step concludes from.

    ``mapped[i]`` is the Parquet file that holds what ``map`` returned for shard i, and
    ``documents[i]`` are that shard's documents, both in input order: sources as the manifest lists
    them, then files by name. ``seed`` is the manifest's. ``progress(done, total)`` feeds the
    progress bar, for conclusions that take long.
    """

    mapped: tuple[Path, ...]
    documents: tuple[ShardDocuments, ...]
    seed: int
    progress: Callable[[float, float], None] = lambda done, total: None


@dataclass(frozen=True)
class Position:
    """Where a batch begins: shard number and row within it, both as ``ReduceInput`` counts them."""

    shard: int
    row: int


class GlobalStep(Step):
    """Sees every document before it judges any, in three phases.

    ``map`` runs on every shard in parallel; ``reduce`` runs once, reads all that was mapped and
    writes its artifacts as files; ``apply`` runs on every shard in parallel with those artifacts.
    """

    # Parameters that change what ``map`` returns; None means all. Editing any other one
    # reuses the mapped.
    map_parameters: ClassVar[frozenset[str] | None] = None

    def prepare(self, sample: Docs) -> None:
        if self.kernels:
            self.map(sample)

    def map(self, docs: Docs) -> pa.RecordBatch:
        """One row per document, in their order (or fewer, where the step samples).

        ``docs`` are without rows where a shard is: the columns returned are the same then.
        """
        raise NotImplementedError(f"{type(self).__name__}.map")

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Write artifacts into ``folder`` (byte-identical for equal reduce_input).

        The mapping returned (JSON values) is kept in the receipt and shown in the report.
        """
        raise NotImplementedError(f"{type(self).__name__}.reduce")

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        """Judge the batch that begins ``at``, by what ``reduce`` wrote into ``artifacts``."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        """What the report tells of ``artifacts`` and ``metrics``, both from ``reduce``.

        ``label`` is the step's name in this manifest. A step without sections has its metrics
        listed under "Metrics"; one that has any says itself what is worth saying.

        Modules imported inside this function do not count as code that outputs depend on: wording
        may change without anything being computed again.
        """
        return ()
