"""The step that measures: all row steps of a manifest in one pass, none of which drops anything."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_serializer

from pipeline.documents import Docs
from pipeline.engine.fingerprint import versions_of
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

    steps: tuple[tuple[str, RowStep], ...]
    absent: tuple[str, ...] = ()

    @model_serializer
    def recipe(self) -> dict[str, Any]:
        """What the measurements depend on, and nothing that they do not."""
        return {
            **{label: measured_parameters(step) for label, step in self.steps},
            "(order)": [[label, type(step).__qualname__] for label, step in self.steps],
            "(versions)": {label: versions_of(type(step)) for label, step in self.steps},
        }

    def prepare(self) -> None:
        for _, step in self.steps:
            step.prepare()

    def filter(self, docs: Docs) -> FilterResult:
        text = docs.text
        columns: dict[str, Any] = {TEXT_BYTES: pc.binary_length(text)}
        for label, step in self.steps:
            try:
                found, docs = _measured(step, docs)
            except KeyError as error:
                if not any(re.search(f"['\"]{re.escape(n)}['\"]", str(error)) for n in self.absent):
                    raise
                continue
            columns.update((f"{label}.{name}", values) for name, values in found.items())
        nothing = pa.nulls(len(docs), pa.large_string())
        return FilterResult(
            keep=np.ones(len(docs), dtype=np.bool_),
            columns={**columns, "metadata": nothing},
            text=pc.utf8_slice_codeunits(text, 0, EXCERPT_CHARACTERS),
        )


def _measured(step: RowStep, docs: Docs) -> tuple[dict[str, pa.Array], Docs]:
    """The signals [rows] of all ``docs``, and these as later steps see them."""
    if isinstance(step, ThresholdFilter):
        found = {name: _stored(values) for name, values in turned_on(step).measure(docs).items()}
        if type(step).filter is ThresholdFilter.filter:
            return found, docs
        # For the sake of its edits and columns alone, which no limit may decide.
        result = step.filter(docs)
    else:
        result = step.filter(docs)
        found = {name: _stored(values) for name, values in result.signals.items()}
        found[REASON] = _reasons(result)
    if result.text is not None:
        docs = docs.with_text(result.text)
    return found, docs.with_columns(result.columns) if result.columns else docs


def _reasons(result: FilterResult) -> pa.Array:
    reason, keep = result.reason, result.keep.tolist()
    reasons = [reason] * len(keep) if isinstance(reason, str) else reason
    # A document without a reason is dropped all the same.
    named = ["" if kept else why or "-" for why, kept in zip(reasons, keep, strict=True)]
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
