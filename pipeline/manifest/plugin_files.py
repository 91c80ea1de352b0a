"""Plug-ins that are classes in a Python file beside the manifest: ``my_filters.py:Shouting``.

Their objects can be pickled: a process that unpickles one loads the file first.
"""

from __future__ import annotations

import ast
import copyreg
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator
from enum import Enum
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from pipeline.engine.fingerprint import CUSTOM
from pipeline.errors import Refusal
from pipeline.executor import Executor
from pipeline.extension import Extension
from pipeline.manifest.registry import PluginError, step_class, subclass_of
from pipeline.manifest.renamed import renamed_import
from pipeline.manifest.wording import did_you_mean, show_text
from pipeline.sources.source import SourceFormat
from pipeline.step import Step

T = TypeVar("T", bound=BaseModel)


def is_custom(name: str) -> bool:
    """Whether ``name`` is a class in a file: ``my_filters.py:Shouting``."""
    return ".py:" in name


def custom_step(name: str, folder: Path) -> type[Step]:
    """The step that ``name`` gives, from a file relative to ``folder``. Runs that file.

    Raises PluginError.
    """
    return _custom(name, folder, lambda found: step_class(name, found))


def custom_format(name: str, folder: Path) -> type[SourceFormat]:
    """The source format that ``name`` gives, as ``custom_step`` finds steps."""
    return _custom(name, folder, lambda found: subclass_of(name, found, SourceFormat))


def custom_extension(name: str, folder: Path) -> type[Extension]:
    """The extension that ``name`` gives, as ``custom_step`` finds steps."""
    return _custom(name, folder, lambda found: subclass_of(name, found, Extension))


def custom_executor(name: str, folder: Path) -> type[Executor]:
    """The executor that ``name`` gives, as ``custom_step`` finds steps."""
    return _custom(name, folder, lambda found: subclass_of(name, found, Executor))


def named_object(name: str, folder: Path) -> object:
    """The class or function that ``FILE.py:NAME``, of a file relative to ``folder``, or
    ``module:NAME``, of an installed package, gives. Runs that file or imports that module.

    Raises PluginError.
    """
    if is_custom(name):
        return _class(name, folder)
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:
        message = f"{show_text(module_name)} cannot be imported: {type(error).__name__}: {error}"
        hint = "name an installed module, as package.module:NAME, or a file, as FILE.py:NAME"
        raise PluginError("no-module", message, hint) from error
    if not hasattr(module, attribute):
        own = [key for key, value in vars(module).items() if callable(value)]
        message = f"{module_name} has no {show_text(attribute)}"
        raise PluginError("unknown-class", message, did_you_mean(attribute, own, "it has"))
    found: object = getattr(module, attribute)
    return found


def _custom(name: str, folder: Path, checked: Callable[[object], type[T]]) -> type[T]:
    return checked(_class(name, folder))


def _class(name: str, folder: Path) -> object:
    file, _, class_name = name.rpartition(":")
    path = (folder / file).resolve()
    module = _module(path, file)
    found: object = getattr(module, class_name, None)
    if found is None:
        own = [type_ for type_ in vars(module).values() if isinstance(type_, type)]
        classes = [type_.__name__ for type_ in own if type_.__module__ == module.__name__]
        message = f"{file} has no class {show_text(class_name)}"
        hint = did_you_mean(class_name, classes, "its classes")
        raise PluginError("unknown-class", message, hint)
    return found


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
        raise PluginError("no-plugin-file", message, hint) from error
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    name = f"{CUSTOM}{stem}_{digest[:16]}"
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
    for line, package in _missing_packages(path):
        message = f"{shown}:{line} imports {show_text(package)}, which is not installed"
        raise PluginError("missing-package", message, "install it where winnow is installed")
    for found in vars(module).values():
        own = isinstance(found, type) and found.__module__ == name
        # Exceptions and members of enumerations are not made anew from their attributes.
        if own and not issubclass(found, BaseException | Enum):
            copyreg.pickle(found, _reduce_custom)
    return module


def _missing_packages(path: Path) -> Iterator[tuple[int, str]]:
    """Packages (with the line) that functions of a file import when they run, and that are not
    there. What a ``try`` or ``if`` surrounds may be missing."""
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try | ast.If):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for package in (name.partition(".")[0] for name in names):
            if package not in sys.modules and find_spec(package) is None:
                yield node.lineno, package  # type: ignore[attr-defined]
        waiting += ast.iter_child_nodes(node)


def _reduce_custom(plugin: object) -> tuple[Any, ...]:
    module = type(plugin).__module__
    file = sys.modules[module].__file__
    return _blank_custom, (file, module, type(plugin).__qualname__), plugin.__getstate__()


def _blank_custom(file: str, module: str, class_name: str) -> object:
    """An instance without its fields, in whatever process unpickles it."""
    model = cast(type[object], _class(f"{Path(file).name}:{class_name}", Path(file).parent))
    if model.__module__ != module:
        message = f"{Path(file).name} was edited during the run"
        raise Refusal("step-changed", message, "plan and run again")
    return model.__new__(model)
