"""The step that measures: all row steps of a manifest in one pass, none of which drops anything.

It also finds which parameters of a step are limits only, so that what is measured does not depend
on them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError, model_serializer

from pipeline.documents import Docs
from pipeline.engine.fingerprint import versions_of
from pipeline.engine.step_calls import call
from pipeline.engine.step_results import CheckedResult, checked
from pipeline.step import FilterResult, RowStep, ThresholdFilter

EXCERPT_CHARACTERS: Final = 500
TEXT_BYTES: Final = "text_bytes"
REASON: Final = "reason"
# Stands for every limit, so that one that is not found while it is off is another parameter.
LIMIT: Final = "(limit)"

R = TypeVar("R", bound=ThresholdFilter)


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
            "(versions)": {label: versions_of(type(step)) for label, step in self.steps},
        }

    def prepare(self, sample: Docs) -> None:
        for _, step in self.steps:
            if not self._lacks(step):
                step.prepare(sample)

    def edits_text(self) -> bool:
        return True

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
        result = _filtered(step, docs)
    else:
        result = _filtered(step, docs)
        found = {name: _stored(values) for name, values in result.signals.items()}
        found[REASON] = _reasons(result)
    if result.text is not None:
        docs = docs.with_text(result.text)
    return found, docs.with_columns(result.columns) if result.columns else docs


def _filtered(step: RowStep, docs: Docs) -> CheckedResult:
    """As in a run, but that a step is asked about no documents too: they name its signals."""
    return checked(step, call(step, "filter", lambda docs, _: step.filter(docs), docs), docs)


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
    texts = [
        None if v is None else orjson.dumps(v, default=str).decode() for v in array.to_pylist()
    ]
    return pa.array(texts, pa.large_string())


_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)


def turned_on(step: R) -> R:
    """``step`` with each limit that null, 0 or false turns off at 1, where 1 is allowed.

    So a step that leaves out the signals of rules that are off measures them too.
    """
    for name in type(step).model_fields:
        off = getattr(step, name)
        if off is not None and (not isinstance(off, int | float) or off):
            continue
        fields = {field: getattr(step, field) for field in type(step).model_fields}
        try:
            checked = type(step).model_validate({**fields, name: True if off is False else 1})
        except ValidationError:  # not a number, or not as large as that: then it is no limit here
            continue
        # A copy, because what a step keeps beside its parameters belongs to it as well.
        other = step.model_copy(update={name: getattr(checked, name)})
        if name in {path.partition(".")[0] for path in _paths(other) - _paths(step)}:
            step = other
    return step


def measured_parameters(step: RowStep) -> dict[str, Any]:
    """The parameters (JSON values) that decide what a step measures, its limits made alike.

    Of a step that is no ThresholdFilter all parameters count: its result is what is measured.
    """
    if not isinstance(step, ThresholdFilter):
        return step.model_dump(mode="json")
    step = turned_on(step)
    values: dict[str, Any] = step.model_dump(mode="json")
    for path in _paths(step):
        _forget(values, path.split("."))
    return values


def _paths(step: ThresholdFilter) -> set[str]:
    return {rule.parameter for rule in step.rules() if rule.parameter}


def _forget(values: Any, path: list[str]) -> None:
    """Put ``LIMIT`` where ``path`` leads in nested JSON values; nowhere when it leads nowhere."""
    key, *rest = path
    index: Any = key
    if isinstance(values, list):
        if not key.isdecimal() or int(key) >= len(values):
            return
        index = int(key)
    elif not isinstance(values, dict) or key not in values:
        return
    if rest:
        _forget(values[index], rest)
    else:
        values[index] = LIMIT
