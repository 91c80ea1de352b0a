"""What a step returned for a batch, checked against the batch and what the step declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA, REPLACEABLE_COLUMNS, BoolArray, Docs, arrow_type
from pipeline.engine.step_calls import call, place_of, row_name, step_faults
from pipeline.errors import ShardError
from pipeline.step import FilterResult, GlobalStep, Position, ReduceInput, RowStep, Step

SHOWN = 60  # characters of a value within a message
_RESULT = "return FilterResult(keep=…, reason=…), with one value for each document of the batch"
_REASON = "give a reason: one text for all dropped documents, or a list with one for each document"
_FAMILIES = (
    lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    lambda kind: pa.types.is_list(kind) or pa.types.is_large_list(kind),
    pa.types.is_struct,
    pa.types.is_temporal,
)


@dataclass(frozen=True)
class CheckedResult:
    """A FilterResult that fits its batch [rows].

    ``reasons`` are those of the dropped documents alone, in their order; ``columns`` have the
    types that the step declares.
    """

    keep: BoolArray
    reasons: Sequence[str] = ()
    signals: Mapping[str, pa.Array] = field(default_factory=dict)
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    text: pa.LargeStringArray | None = None


def filtered(step: RowStep, docs: Docs) -> CheckedResult:
    """What a row step decides on ``docs``."""
    if not len(docs) and (nothing := _nothing(step)) is not None:
        return nothing
    return checked(step, call(step, "filter", lambda docs, first: step.filter(docs), docs), docs)


def applied(step: GlobalStep, docs: Docs, artifacts: Path, at: Position) -> CheckedResult:
    """What a global step decides on ``docs``, by its artifacts."""
    if not len(docs) and (nothing := _nothing(step)) is not None:
        return nothing

    def apply(docs: Docs, first: int) -> FilterResult:
        return step.apply(docs, artifacts, replace(at, row=at.row + first))

    return checked(step, call(step, "apply", apply, docs), docs)


def mapped(step: GlobalStep, docs: Docs, schema: pa.Schema | None) -> pa.RecordBatch:
    """What a global step maps ``docs`` to; ``schema`` is that of the shard's first batch."""
    seen: object = call(step, "map", lambda docs, first: step.map(docs), docs)
    hint = "return a pyarrow.RecordBatch whose columns and types are always the same"
    if not isinstance(seen, pa.RecordBatch):
        _refuse(step, f"map returned {_shown(seen)}, not a pyarrow.RecordBatch", hint)
    if schema is not None and seen.schema != schema:
        message = f"map returned columns of another kind than for the batch before: {seen.schema}"
        _refuse(step, message.replace("\n", ", "), hint)
    if len(seen) > len(docs):
        message = f"map returned {len(seen)} rows for a batch of {len(docs)} documents"
        _refuse(step, message, "return at most one row for each document")
    return seen


def reduced(step: GlobalStep, reduce_input: ReduceInput, folder: Path) -> dict[str, Any]:
    """The metrics that a global step returns once its artifacts are written."""
    with step_faults(step, "reduce"):
        metrics: object = step.reduce(reduce_input, folder)
    if not isinstance(metrics, Mapping):
        hint = "return a dict of JSON values, {} where there is nothing to say"
        _refuse(step, f"reduce returned {_shown(metrics)}, not a mapping", hint)
    return dict(metrics)


def _nothing(step: Step) -> CheckedResult | None:
    """The result on no documents, about which steps are not asked; None for one that has to be,
    because only its results show what columns it adds."""
    kinds = step.adds()
    if not step.declares_columns or None in kinds.values():
        return None
    columns = {name: pa.nulls(0, arrow_type(kind)) for name, kind in kinds.items()}
    return CheckedResult(np.zeros(0, dtype=np.bool_), columns=columns)


def checked(step: Step, result: object, docs: Docs) -> CheckedResult:
    """``result`` as it is meant: lists, and integers of 0 and 1, are taken for what they say.

    Raises ShardError where that is not clear, naming the step, what it gave and what it must give.
    """
    if not isinstance(result, FilterResult):
        _refuse(step, f"returned {_shown(result)}, not a FilterResult", _RESULT)
    check = _Check(step, docs)
    keep = check.mask(result.keep)
    return CheckedResult(
        keep=keep,
        reasons=check.reasons(result.reason, keep),
        signals={n: check.array(f"the signal {n}", v) for n, v in result.signals.items()},
        columns=check.columns(result.columns),
        text=None if result.text is None else check.text(result.text),
    )


@dataclass(frozen=True)
class _Check:
    step: Step
    docs: Docs

    def refuse(self, message: str, hint: str, row: int | None = None) -> NoReturn:
        where = "" if row is None else f", for {row_name(self.docs, row)}"
        _refuse(self.step, message + where, hint)

    def length(self, name: str, values: Any) -> None:
        if len(values) != len(self.docs):
            message = f"{name} has {len(values)} values, the batch has {len(self.docs)} documents"
            self.refuse(message, "return one value for each document of the batch")

    def mask(self, keep: Any) -> BoolArray:
        """``keep`` as booleans [rows]."""
        hint = "keep is an array of true and false, one for each document"
        values = self._numpy("keep", keep, hint)
        if values.ndim != 1:
            self.refuse(f"keep is {_shown(keep)}", hint)
        self.length("keep", values)
        if values.dtype == np.bool_:
            return values
        good = np.array([_is_truth(value) for value in values.tolist()], dtype=np.bool_)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            self.refuse(f"keep is {_shown(values.tolist()[row])}", hint, row)
        return np.asarray(values.astype(np.bool_))

    def reasons(self, reason: Any, keep: BoolArray) -> list[str]:
        """Why each dropped document goes."""
        rows = np.flatnonzero(~keep).tolist()
        if not rows:
            return []
        if isinstance(reason, str) or reason is None:
            given = [reason] * len(self.docs)
        elif isinstance(reason, list | tuple):
            given = list(reason)
        else:
            given = self._numpy("reason", reason, _REASON).tolist()
            if not isinstance(given, list):
                self.refuse(f"reason is {_shown(reason)}", _REASON)
        self.length("reason", given)
        found: list[str] = []
        for row in rows:
            text = given[row]
            if not isinstance(text, str) or not text.strip():
                self.refuse(f"the reason is {_shown(text)}", _REASON, row)
            found.append(text)
        return found

    def array(self, name: str, values: Any) -> pa.Array:
        """Values [rows] as an Arrow array."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not isinstance(values, pa.Array):
            try:
                values = pa.array(values if isinstance(values, list) else np.asarray(values))
            except (pa.ArrowException, ValueError, TypeError) as error:
                hint = "give an Arrow or NumPy array"
                self.refuse(f"{name} is {_shown(values)} ({error})", hint)
        self.length(name, values)
        return values

    def columns(self, given: Mapping[str, Any]) -> dict[str, pa.Array]:
        """Columns [rows] with the types that the step declares."""
        declared = self.step.adds()
        found = {}
        for name, values in given.items():
            if name in DOCUMENT_SCHEMA.names and name not in REPLACEABLE_COLUMNS:
                hint = (
                    "return an edited text as text=…" if name == "text" else "choose another name"
                )
                self.refuse(f"columns has {name!r}, which no step may replace", hint)
            if name not in declared and self.step.declares_columns:
                hint = "declare it: def adds(self): return {NAME: type}"
                self.refuse(f"columns has {name!r}, which the step does not declare", hint)
            array = self.array(f"the column {name}", values)
            kind = declared.get(name)
            found[name] = array if kind is None else self._cast(name, array, arrow_type(kind))
        for name, kind in declared.items():
            if kind is not None and name not in given:
                hint = "return every column that adds() declares, null where there is no value"
                self.refuse(f"columns lacks {name!r}, which the step declares", hint)
        return found

    def text(self, values: Any) -> pa.LargeStringArray:
        """The edited text [rows]."""
        if not self.step.edits_text():
            hint = "declare it: def edits_text(self): return True"
            self.refuse("the step returns text and does not declare that it edits any", hint)
        hint = "text is an array of texts, one for each document; drop what is to have none"
        array = self.array("text", values)
        if array.null_count:
            row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
            self.refuse("text is null", hint, row)
        if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            self.refuse(f"text holds {array.type}", hint)
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            self.refuse(f"text is not sound: {error}", hint)
        return array.cast(pa.large_string())

    def _cast(self, name: str, array: pa.Array, kind: pa.DataType) -> pa.Array:
        if array.type == kind:
            return array
        alike = any(belongs(array.type) and belongs(kind) for belongs in _FAMILIES)
        hint = "return what adds() declares, or declare what is returned"
        if not alike and not pa.types.is_null(array.type):
            self.refuse(f"the column {name} holds {array.type}, not {kind} as declared", hint)
        try:
            return array.cast(kind)
        except pa.ArrowException as error:
            self.refuse(f"the column {name} holds what is no {kind}: {error}", hint)

    def _numpy(self, name: str, values: Any, hint: str) -> npt.NDArray[Any]:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return np.asarray(values.to_numpy(zero_copy_only=False))
        try:
            return np.asarray(values)
        except ValueError:  # lists of different lengths
            self.refuse(f"{name} is {_shown(values)}", hint)


def _is_truth(value: object) -> bool:
    """Whether a value of any kind says true or false."""
    return isinstance(value, bool | int | float) and value in (0, 1)


def _refuse(step: Step, message: str, hint: str) -> NoReturn:
    raise ShardError("step-result", f"{place_of(step)}: {message}", hint)


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    text = repr(value)
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return shown if value is None else f"{shown} ({type(value).__name__})"
