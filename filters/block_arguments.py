"""Arguments of a datatrove block in a manifest, checked against the signature of its class."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from winnow import Problem, WinnowError, checked_value, did_you_mean, named_object

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

Parameters = Mapping[str, inspect.Parameter]

FILE, FOLDER = "file", "folder"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def named_path(value: JsonValue) -> tuple[str, str] | None:
    """``file`` or ``folder`` and the path, where a value is ``{file: PATH}`` or ``{folder: PATH}``;
    None for any other value."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, path),) = value.items()
        if key in (FILE, FOLDER) and isinstance(path, str):
            return key, path
    return None


def argument_problems(
    block: type[PipelineStep], given: Mapping[str, JsonValue], folder: Path
) -> Iterator[Problem]:
    """What is wrong with the arguments of ``block``; hints show its signature."""
    parameters, more = _parameters(block)
    shown = signature(block)
    for name, value in given.items():
        parameter = parameters.get(name)
        if _writes(name, parameter):
            message = f"{name!r} is not for a step: it writes dropped documents itself"
            hint = "delete it: a run keeps every dropped document with its reason"
            yield Problem((name,), "exclusion-writer", message, hint)
        elif parameter is None and not more:
            message = f"{block.__name__} has no argument {name!r}"
            near = did_you_mean(name, parameters, "")
            hint = f"{near} {shown}" if near.startswith("did") else shown
            yield Problem((name,), "unknown-argument", message, hint)
        elif _looks_like_path(value, folder):
            message = f"{name} names a file, and its content would not count: {value!r}"
            yield Problem((name,), "plain-path", message, f"write {name}: {{{FILE}: {value}}}")
        else:
            try:
                _read(name, value, parameter, folder)
            except WinnowError as error:
                yield Problem((name,), error.code, error.message, error.hint or shown)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            message = f"{block.__name__} needs an argument {name!r}"
            yield Problem(("block",), "missing-argument", message, shown)


def read_arguments(
    block: type[PipelineStep], given: Mapping[str, JsonValue], folder: Path
) -> dict[str, Any]:
    """The arguments as the constructor takes them. Raises WinnowError for the first wrong one."""
    parameters, _ = _parameters(block)
    return {n: _read(n, value, parameters.get(n), folder) for n, value in given.items()}


def functions(
    block: type[PipelineStep], given: Mapping[str, JsonValue], folder: Path
) -> Iterator[Callable[..., Any]]:
    """The functions among the arguments."""
    parameters, _ = _parameters(block)
    for name, value in given.items():
        if name in parameters and _is_function(parameters[name]):
            yield _function(name, value, folder)


def signature(block: type[PipelineStep]) -> str:
    """The constructor as hints show it."""
    parameters, more = _parameters(block)
    words = [str(p) for name, p in parameters.items() if not _writes(name, p)]
    return f"{block.__name__}({', '.join([*words, *(['**…'] if more else [])])})"


def _parameters(block: type[PipelineStep]) -> tuple[Parameters, bool]:
    """The arguments that can be given by name, and whether any others may be."""
    try:
        found = inspect.signature(block, eval_str=True)
    except NameError:  # a name that is imported for type checkers alone
        found = inspect.signature(block)
    named = {n: p for n, p in found.parameters.items() if p.kind in _NAMED}
    return named, any(p.kind is p.VAR_KEYWORD for p in found.parameters.values())


def _read(name: str, value: JsonValue, parameter: inspect.Parameter | None, folder: Path) -> Any:
    if parameter is not None and _is_function(parameter):
        return _function(name, value, folder)
    if (path := named_path(value)) is not None:
        value = str((folder / path[1]).resolve())
    kind = _adapter(parameter)
    if kind is None:
        return value
    if parameter is not None and isinstance(value, Mapping):
        _require_fields(name, value, parameter)
    return checked_value(kind, value, name)


def _require_fields(
    name: str, value: Mapping[str, JsonValue], parameter: inspect.Parameter
) -> None:
    """Raises WinnowError for a key that a dataclass does not have: pydantic passes over those."""
    for kind in typing.get_args(parameter.annotation) or (parameter.annotation,):
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            continue
        known = [field.name for field in dataclasses.fields(kind)]
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known, "its fields")
                raise WinnowError("unknown-field", f"{name} has no field {key!r}", hint)


def _adapter(parameter: inspect.Parameter | None) -> TypeAdapter[Any] | None:
    """What reads a value of a parameter; None where its annotation says nothing of use."""
    if parameter is None or parameter.annotation is parameter.empty:
        return None
    kind = parameter.annotation
    if kind in (Iterable, typing.Iterable):
        kind = list[Any]
    if isinstance(kind, str):
        return None
    optional = kind | None if parameter.default is None else kind
    try:
        adapter = TypeAdapter(optional)
    except PydanticUserError:  # a class of no kind that JSON has
        try:
            adapter = TypeAdapter(optional, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:
            return None
    if parameter.default is not parameter.empty:
        try:
            adapter.validate_python(parameter.default)
        except ValidationError:  # an annotation that its own default does not fit is no guide
            return None
    return adapter


def _is_function(parameter: inspect.Parameter) -> bool:
    """Whether a parameter takes a function."""
    kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
    whole = typing.get_origin(parameter.annotation) or parameter.annotation
    among = kinds if whole in (typing.Union, types.UnionType) else (whole,)
    return any((typing.get_origin(kind) or kind) is Callable for kind in among)


def _function(name: str, value: JsonValue, folder: Path) -> Callable[..., Any]:
    hint = f"write {name}: FILE.py:NAME, of a file beside the manifest"
    if not isinstance(value, str) or ":" not in value:
        raise WinnowError("not-a-function", f"{name} must be a function, not {value!r}", hint)
    found = named_object(value, folder)
    if not callable(found):
        raise WinnowError("not-a-function", f"{name}: {value} is no function", hint)
    return found


def _writes(name: str, parameter: inspect.Parameter | None) -> bool:
    """Whether an argument is a writer of datatrove's."""
    return name == "exclusion_writer" or (
        parameter is not None and "Writer" in str(parameter.annotation)
    )


def _looks_like_path(value: JsonValue, folder: Path) -> bool:
    """Whether a text is the name of a file or folder, from the manifest's folder."""
    if not isinstance(value, str) or not ("/" in value or "." in value):
        return False
    try:
        return value.strip("./") != "" and (folder / value).exists()
    except (OSError, ValueError):  # too long for a name, or with a null character
        return False
