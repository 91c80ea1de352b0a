"""Finds steps, source formats, extensions and executors by the names that manifests use for them.

Installed ones are entry points (``winnow.steps``, ``winnow.formats``, ``winnow.extensions``,
``winnow.executors``) and are imported when a manifest first uses them, so a broken one matters to
no other manifest. They may also be classes in Python files beside the manifest: see
``plugin_files``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, TypeVar, cast

from pipeline.errors import WinnowError
from pipeline.executor import Executor
from pipeline.extension import Extension
from pipeline.manifest.renamed import (
    EXTENDING,
    RENAMED_GROUPS,
    renamed_import,
    renamed_members,
)
from pipeline.sources.source import SourceFormat
from pipeline.step import GlobalStep, RowStep, Step

T = TypeVar("T")
# A class, or where to import it from; several places mean that packages claim the same name.
Found = type[T] | Sequence[EntryPoint]


class PluginError(WinnowError):
    """A step, format, extension or executor is named right but cannot be used."""

    exit_code = 2


class Registry:
    """What manifests may name. The arguments replace what is installed, for tests and embedding;
    executors are the installed ones unless others are given."""

    def __init__(
        self,
        steps: Mapping[str, Found[Step]],
        formats: Mapping[str, Found[SourceFormat]],
        extensions: Mapping[str, Found[Extension]],
        executors: Mapping[str, Found[Executor]] | None = None,
    ) -> None:
        self._steps = steps
        self._formats = formats
        self._extensions = extensions
        self._executors = _offered("executors") if executors is None else executors

    @classmethod
    def installed(cls) -> Registry:
        """Everything that the installed packages offer; nothing is imported yet."""
        return cls(*(_offered(group) for group in ("steps", "formats", "extensions")))

    @property
    def outdated(self) -> list[str]:
        """What installed packages offer in a way that nothing reads any more."""
        return [
            f"{entry.value} is offered as {old}, which is called {new} now"
            for old, new in RENAMED_GROUPS.items()
            for entry in _entry_points().select(group=old)
        ]

    @property
    def step_names(self) -> list[str]:
        return sorted(self._steps)

    @property
    def format_names(self) -> list[str]:
        return sorted(self._formats)

    @property
    def extension_names(self) -> list[str]:
        return sorted(self._extensions)

    @property
    def executor_names(self) -> list[str]:
        return sorted(self._executors)

    def step(self, name: str) -> type[Step]:
        """KeyError when no such step is installed; PluginError when it cannot be imported."""
        return step_class(f"step {name}", _load(f"step {name}", self._steps[name]))

    def format(self, name: str) -> type[SourceFormat]:
        """KeyError when there is no such format; PluginError when it cannot be imported."""
        found = _load(f"format {name}", self._formats[name])
        return subclass_of(f"format {name}", found, SourceFormat)

    def extension(self, name: str) -> type[Extension]:
        """KeyError when there is no such extension; PluginError when it cannot be imported."""
        return subclass_of(
            f"extension {name}", _load(f"extension {name}", self._extensions[name]), Extension
        )

    def executor(self, name: str) -> type[Executor]:
        """KeyError when there is no such executor; PluginError when it cannot be imported."""
        found = _load(f"executor {name}", self._executors[name])
        return subclass_of(f"executor {name}", found, Executor)


def step_labels(names: Iterable[str]) -> list[str]:
    """What steps are called in folders, reports and ``--set``, in their order.

    The name, for a custom step the class alone; a repeated one gets a number: ``c4_quality_2``.
    """
    labels: list[str] = []
    for name in names:
        stem = label = name.rpartition(":")[2]
        number = 1
        while label in labels:
            number += 1
            label = f"{stem}_{number}"
        labels.append(label)
    return labels


@cache
def _entry_points() -> EntryPoints:
    """Those of all installed packages, whose metadata is read once."""
    return cast(EntryPoints, entry_points())  # Python 3.11 declares another type with ``select``


def _offered(group: str) -> dict[str, Sequence[EntryPoint]]:
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in _entry_points().select(group=f"winnow.{group}"):
        # One package can be seen twice (installed, and in the current directory).
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return {name: [by[value] for value in sorted(by)] for name, by in sorted(found.items())}


def _load(what: str, found: Found[Any]) -> object:
    if isinstance(found, type):
        return found
    if len(found) > 1:
        message = f"{what} is offered by {' and '.join(entry.value for entry in found)}"
        raise PluginError("plugin-conflict", message, "uninstall one of the packages")
    entry = found[0]
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        package = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
        message = f"{what}{package} cannot be imported: {type(error).__name__}: {error}"
        hint = renamed_import(error) or "repair or reinstall that package, or leave this out"
        raise PluginError("broken-plugin", message, hint) from error


def subclass_of(what: str, found: object, base: type[T]) -> type[T]:
    """``found`` as a class derived from ``base``. Raises PluginError when it is none."""
    if isinstance(found, type) and issubclass(found, base):
        _require_new_names(what, found)
        return found
    raise PluginError("wrong-class", f"{what} is not a {base.__name__}")


def step_class(what: str, found: object) -> type[Step]:
    """``found`` as the class of a step. Raises PluginError when it is none."""
    if isinstance(found, type) and issubclass(found, RowStep | GlobalStep):
        _require_new_names(what, found)
        return found
    message = f"{what} is neither a RowStep nor a GlobalStep"
    hint = "derive it from one of them: from winnow import RowStep"
    raise PluginError("not-a-step", message, hint)


def _require_new_names(what: str, found: type) -> None:
    if renamed := renamed_members(found):
        message = f"{what} is written for an earlier version of winnow"
        hint = "; ".join(f"{old} is called {new} now" for old, new in renamed)
        raise PluginError("renamed", message, f"{hint}; {EXTENDING}")
