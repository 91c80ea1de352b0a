"""Finds steps, source formats and extensions by the names that manifests use for them.

Installed ones are entry points (``winnow.steps``, ``winnow.formats``, ``winnow.extensions``) and
are imported when a manifest first uses them, so a broken one matters to no other manifest. A step
may also be a class in a Python file beside the manifest, named ``my_filters.py:Shouting``.
"""

from __future__ import annotations

import copyreg
import hashlib
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar, cast

from pipeline.errors import Refusal, WinnowError
from pipeline.extension import Extension
from pipeline.manifest.renamed import (
    EXTENDING,
    RENAMED_GROUPS,
    renamed_import,
    renamed_members,
)
from pipeline.manifest.wording import did_you_mean, show_text
from pipeline.sources.source import SourceFormat
from pipeline.step import GlobalStep, RowStep, Step

T = TypeVar("T")
# A class, or where to import it from; several places mean that packages claim the same name.
Found = type[T] | Sequence[EntryPoint]


class PluginError(WinnowError):
    """A step, format or extension is named right but cannot be used."""

    exit_code = 2


class Registry:
    """What manifests may name. The arguments replace what is installed, for tests and embedding."""

    def __init__(
        self,
        steps: Mapping[str, Found[Step]],
        formats: Mapping[str, Found[SourceFormat]],
        extensions: Mapping[str, Found[Extension]],
    ) -> None:
        self._steps = steps
        self._formats = formats
        self._extensions = extensions

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

    def step(self, name: str) -> type[Step]:
        """KeyError when no such step is installed; PluginError when it cannot be imported."""
        return _step_class(f"step {name}", _load(f"step {name}", self._steps[name]))

    def format(self, name: str) -> type[SourceFormat]:
        """KeyError when there is no such format; PluginError when it cannot be imported."""
        found = _load(f"format {name}", self._formats[name])
        return _subclass(f"format {name}", found, SourceFormat)

    def extension(self, name: str) -> type[Extension]:
        """KeyError when there is no such extension; PluginError when it cannot be imported."""
        return _subclass(
            f"extension {name}", _load(f"extension {name}", self._extensions[name]), Extension
        )


def is_custom(name: str) -> bool:
    """Whether ``name`` is a class in a file: ``my_filters.py:Shouting``."""
    return ".py:" in name


def step_labels(names: Iterable[str]) -> list[str]:
    """What steps are called in folders, reports and ``--set``, in their order.

    The name, for a custom step the class alone; a repeated one gets a number: ``c4_quality_2``.
    """
    labels: list[str] = []
    for name in names:
        stem = label = name.rpartition(":")[2] if is_custom(name) else name
        number = 1
        while label in labels:
            number += 1
            label = f"{stem}_{number}"
        labels.append(label)
    return labels


def custom_step(name: str, folder: Path) -> type[Step]:
    """The class that ``name`` gives, from a file relative to ``folder``. Runs that file.

    Its steps can be pickled: a process that unpickles one loads the file first. Raises PluginError.
    """
    file, _, class_name = name.rpartition(":")
    path = (folder / file).resolve()
    module = _module(path, file)
    found = getattr(module, class_name, None)
    if found is None:
        own = [type_ for type_ in vars(module).values() if isinstance(type_, type)]
        classes = [type_.__name__ for type_ in own if type_.__module__ == module.__name__]
        message = f"{file} has no class {show_text(class_name)}"
        hint = did_you_mean(class_name, classes, "its classes")
        raise PluginError("unknown-class", message, hint)
    step = _step_class(name, found)
    copyreg.pickle(step, _reduce_custom)
    return step


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
    package = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        message = f"{what}{package} cannot be imported: {type(error).__name__}: {error}"
        hint = renamed_import(error) or "repair or reinstall that package, or leave this out"
        raise PluginError("broken-plugin", message, hint) from error


def _subclass(what: str, found: object, base: type[T]) -> type[T]:
    if isinstance(found, type) and issubclass(found, base):
        _require_new_names(what, found)
        return found
    raise PluginError("wrong-class", f"{what} is not a {base.__name__}")


def _step_class(what: str, found: object) -> type[Step]:
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


class _SourceLoader(SourceFileLoader):
    """Compiles the file as it is now; cached bytecode can miss an edit within one second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _module(path: Path, shown: str) -> ModuleType:
    """The module of a custom file, named after its content, so an edited file is another module."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        beside = [file.name for file in path.parent.glob("*.py")]
        message = f"cannot read {show_text(shown)}: {error.strerror}"
        hint = did_you_mean(path.name, beside, "Python files there")
        raise PluginError("no-step-file", message, hint) from error
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    name = f"winnow_custom_{stem}_{digest[:16]}"
    if name in sys.modules:
        # Another folder had the same file; workers load it from the one in use.
        sys.modules[name].__file__ = str(path)
        return sys.modules[name]
    spec = spec_from_loader(name, _SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise PluginError("broken-step", f"{shown} is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # before it runs: pydantic looks annotations up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        message = f"{shown} fails at line {line}: {type(error).__name__}: {reason}"
        hint = renamed_import(error) or "repair the file"
        raise PluginError("broken-step", message, hint) from error
    return module


def _reduce_custom(step: Step) -> tuple[Any, ...]:
    module = type(step).__module__
    file = sys.modules[module].__file__
    return _blank_custom, (file, module, type(step).__qualname__), step.__getstate__()


def _blank_custom(file: str, module: str, class_name: str) -> Step:
    """An instance without its fields, in whatever process unpickles it."""
    step = custom_step(f"{Path(file).name}:{class_name}", Path(file).parent)
    if step.__module__ != module:
        message = f"{Path(file).name} was edited during the run"
        raise Refusal("step-changed", message, "plan and run again")
    return step.__new__(step)
