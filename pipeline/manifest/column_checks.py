"""Columns that steps read and add, checked in the order of the steps before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.documents import (
    DOCUMENT_COLUMNS,
    REPLACEABLE_COLUMNS,
    ColumnType,
    arrow_type,
)
from pipeline.errors import Problem
from pipeline.manifest.wording import show_text
from pipeline.step import Column, Location, Step

Columns = Mapping[str, ColumnType]

# Names of types that are known without asking pyarrow, which takes long to load.
_COMMON = {"bool", "int32", "int64", "float32", "float64", "string", "large_string"}
_WORDS = {"anything": "values", "numbers": "numbers", "groups": "text or whole numbers"}


def column_problems(step: Step, columns: Columns) -> Iterator[Problem]:
    """Columns that a step reads and nobody has, or adds and others have.

    ``columns`` are those that earlier steps have added.
    """
    known = DOCUMENT_COLUMNS | dict(columns)
    for place, column in step.reads().items():
        yield from _unreadable(place, column, known)
    if not isinstance(step.adds(), Mapping):
        message = f"adds() of {type(step).__name__} gives no mapping of names to types"
        yield Problem((), "step-result", message, "return {NAME: type}")
    yield from _not_types(step)
    for name, kind in added_columns(step).items():
        if name in DOCUMENT_COLUMNS:
            same = arrow_type(kind) == arrow_type(DOCUMENT_COLUMNS[name])
            taken = name not in REPLACEABLE_COLUMNS or not same
        else:
            taken = name in columns and name not in step.replaces
        if taken:
            message = f"documents already have a column {show_text(name)}"
            yield Problem(_place(step, name), "column-exists", message, "choose another name")


def added_columns(step: Step) -> Columns:
    """The columns that a step adds, without those that it declares wrongly."""
    return {name: kind for name, kind in _declared(step).items() if _is_type(kind)}


def _declared(step: Step) -> Columns:
    declared: object = step.adds()
    return declared if isinstance(declared, Mapping) else {}


def _not_types(step: Step) -> Iterator[Problem]:
    for name, kind in _declared(step).items():
        if not _is_type(kind):
            message = f"adds() of {type(step).__name__} gives {kind!r} for {name}: no type"
            hint = "give a pyarrow type or its name, such as float32"
            yield Problem(_place(step, name), "step-result", message, hint)


def _is_type(kind: object) -> bool:
    if kind is None or (isinstance(kind, str) and kind in _COMMON):
        return True
    import pyarrow as pa

    if not isinstance(kind, str):
        return isinstance(kind, pa.DataType)
    try:
        pa.type_for_alias(kind)
    except ValueError:
        return False
    return True


def _unreadable(place: Location, column: Column, known: Columns) -> Iterator[Problem]:
    fitting = tuple(name for name, kind in known.items() if _holds(kind, column))
    if column.name in fitting:
        return
    if column.name in known:
        message = (
            f"the column {show_text(column.name)} holds {known[column.name]}, "
            f"not {_WORDS[column.holds]}"
        )
        yield Problem(place, "wrong-column", message, choices=fitting)
        return
    message = f"no earlier step adds a column {show_text(column.name)}"
    hint = "" if fitting else "put a step that adds it before this one"
    yield Problem(place, "unknown-column", message, hint, fitting)


def _holds(kind: ColumnType, column: Column) -> bool:
    if kind is None or column.holds == "anything":
        return True
    import pyarrow as pa

    kind = arrow_type(kind)
    text = (pa.types.is_string, pa.types.is_large_string)
    fitting = (pa.types.is_floating,) if column.holds == "numbers" else text
    return any(fits(kind) for fits in (*fitting, pa.types.is_integer))


def _place(step: Step, name: str) -> Location:
    """The parameter that names a column, or the step itself where its own code does."""
    read = {place[0] for place in step.reads() if place}
    for parameter in type(step).model_fields:
        if parameter in read:
            continue
        value = getattr(step, parameter)
        if value == name:
            return (parameter,)
        if isinstance(value, Mapping) and name in value:
            return (parameter, name)
    return ()
