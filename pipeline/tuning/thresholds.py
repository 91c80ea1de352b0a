"""Which parameters of a step are limits only, so that what it measures does not depend on them."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import ValidationError

from pipeline.step import RowStep, ThresholdFilter

R = TypeVar("R", bound=ThresholdFilter)

# Stands for every limit, so that one that is not found while it is off is another parameter.
LIMIT: Final = "(limit)"


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
