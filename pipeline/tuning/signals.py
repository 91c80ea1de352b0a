"""The step that measures: all row steps of a manifest in one pass, none of which drops anything."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_serializer

from pipeline.documents import Docs
from pipeline.engine.fingerprint import code_digest
from pipeline.engine.step_calls import call
from pipeline.engine.step_results import CheckedResult, filtered
from pipeline.step import FilterResult, RowStep, ThresholdFilter
from pipeline.tuning.thresholds import measured_parameters, turned_on

EXCERPT_CHARACTERS: Final = 500
TEXT_BYTES: Final = "text_bytes"
REASON: Final = "reason"


class Measure(RowStep):
    """Appends what every one of ``steps`` measures: a column ``<step>.<signal>`` for each signal,
    float64 for numbers and null where there is none.

    Of a step that is no ThresholdFilter also ``<step>.reason``, why it would drop the document, ""
    where it would not. What threshold filters would drop follows from their signals and is not
    stored. Texts become excerpts, with their size in bytes as ``text_bytes``; an edit is what later
    steps see, also of documents that the step would drop. ``absent`` names columns that nobody adds
    while measuring; a step that asks for one of them is left out.
    """

    declares_columns: ClassVar[bool] = False

    steps: tuple[tuple[str, RowStep], ...]
    absent: tuple[str, ...] = ()

    @model_serializer
    def recipe(self) -> dict[str, Any]:
        """What the measurements depend on, and nothing that they do not."""
        return {
            **{label: measured_parameters(step) for label, step in self.steps},
            "(order)": [[label, type(step).__qualname__] for label, step in self.steps],
            "(code)": code_digest(type(step).__module__ for _, step in self.steps),
        }

    def prepare(self, sample: Docs) -> None:
        for _, step in self.steps:
            if not self._lacks(step):
                step.prepare(sample)

    def filter(self, docs: Docs) -> FilterResult:
        text = docs.text
        columns: dict[str, Any] = {TEXT_BYTES: pc.binary_length(text)}
        for label, step in self.steps:
            if self._lacks(step):
                continue
            found, docs = _measured(step, docs)
            columns.update((f"{label}.{name}", values) for name, values in found.items())
        nothing = pa.nulls(len(docs), pa.large_string())
        return FilterResult(
            keep=np.ones(len(docs), dtype=np.bool_),
            columns={**columns, "metadata": nothing},
            text=pc.utf8_slice_codeunits(text, 0, EXCERPT_CHARACTERS),
        )

    def _lacks(self, step: RowStep) -> bool:
        """Whether a step reads a column that nobody adds while measuring."""
        return any(column.name in self.absent for column in step.reads().values())


def _measured(step: RowStep, docs: Docs) -> tuple[dict[str, pa.Array], Docs]:
    """The signals [rows] of all ``docs``, and these as later steps see them."""
    if isinstance(step, ThresholdFilter):
        measured = call(step, "measure", lambda docs, _: turned_on(step).measure(docs), docs)
        found = {name: _stored(values) for name, values in measured.items()}
        if type(step).filter is ThresholdFilter.filter:
            return found, docs
        # For the sake of its edits and columns alone, which no limit may decide.
        result = filtered(step, docs)
    else:
        result = filtered(step, docs)
        found = {name: _stored(values) for name, values in result.signals.items()}
        found[REASON] = _reasons(result)
    if result.text is not None:
        docs = docs.with_text(result.text)
    return found, docs.with_columns(result.columns) if result.columns else docs


def _reasons(result: CheckedResult) -> pa.Array:
    """Why each document [rows] would be dropped, "" where it would not."""
    named = np.full(len(result.keep), "", dtype=object)
    named[~result.keep] = result.reasons
    return pa.array(named, pa.large_string())


def _stored(values: Any) -> pa.Array:
    """Numbers as float64, so that batches agree whatever they lack; all else as text."""
    array = values if isinstance(values, pa.Array) else pa.array(np.asarray(values))
    kind = array.type
    if pa.types.is_boolean(kind):
        array, kind = array.cast(pa.int8()), pa.int8()
    if any(is_kind(kind) for is_kind in _NUMBERS):
        return array.cast(pa.float64(), safe=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array.cast(pa.large_string())
    said = [None if v is None else orjson.dumps(v, default=str).decode() for v in array.to_pylist()]
    return pa.array(said, pa.large_string())


_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
