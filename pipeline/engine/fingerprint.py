"""Digests: of files, of values, and of code that carries no version of its own.

What a stage is made from is named by versions: of its steps, of the kernels they use, of the
format that is read. Code in a file beside the manifest has no version, so its digest stands in,
without comments and docstrings: wording never reruns anything.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from pipeline.step import Step

REPORTING = "report_sections"  # the method of steps and extensions that decides no output
CUSTOM = "winnow_custom_"  # modules made of files beside a manifest are named so


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-like value, the same for equal values whatever their key order."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def code_digest(source: str) -> str:
    """Hex sha256 of what Python code does: comments, docstrings, layout and what a step has to
    say in the report do not count.

    Raises SyntaxError.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[:] = body[1:] or [ast.Pass()]
        if isinstance(node, ast.ClassDef):
            rest = [part for part in node.body if getattr(part, "name", "") != REPORTING]
            node.body = rest or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def custom_code(kind: type) -> Iterator[tuple[str, str]]:
    """Name and digest of the file that holds a class of the user's own, and of the files beside
    it that it imports; nothing for classes of installed packages."""
    if kind.__module__.startswith(CUSTOM):
        yield from code_of(kind)


def code_of(thing: type | Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """Name and digest of the file that holds a class or function, and of the files that it imports
    in turn: those beside a file of the user's own, those of the same package otherwise."""
    module = sys.modules[thing.__module__]
    if getattr(module, "__file__", None) is None:
        return
    first = Path(str(module.__file__))
    own = module.__name__.startswith(CUSTOM)
    top = module.__name__.partition(".")[0]
    depth = module.__name__.count(".") + (first.stem == "__init__")
    root = first.parent if own else first.parents[depth]
    todo, done = [first], set[Path]()
    while todo:
        path = todo.pop()
        if path in done or not path.is_file():
            continue
        done.add(path)
        shown = path.name if own else path.relative_to(root)
        if path.suffix != ".py":
            yield f"code of {shown}", sha256_file(path)
            continue
        source = path.read_text(encoding="utf-8")
        yield f"code of {shown}", code_digest(source)
        at = path.parent if own else root
        inside = path.parent.relative_to(root).parts
        names = (name.split(".") for name in _imports(source, inside))
        for parts in names:
            if own or parts[0] == top:
                todo.append(at.joinpath(*parts).with_suffix(".py"))
            if not own and parts[0] == top:
                todo.append(at.joinpath(*parts, "__init__.py"))


def _imports(source: str, inside: Sequence[str]) -> Iterator[str]:
    """Modules that code names in imports; ``inside`` is the package that relative ones begin at."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) - node.level + 1] if node.level else ()
            module = ".".join((*above, *((node.module,) if node.module else ())))
            if module:
                yield module
                # What is imported from a package may be a module of it.
                yield from (f"{module}.{alias.name}" for alias in node.names)


def kernel_versions(rooms: Iterable[str]) -> dict[str, str | int]:
    """The version of each room of kernels, by its full name."""
    names = [f"kernels.{room}" for room in rooms]
    return {name: import_module(name).VERSION for name in names}


def versions_of(step: type[Step]) -> dict[str, str | int]:
    """Everything that a step's outcome depends on beside parameters and input, by its name."""
    own = {f"step {step.__name__}": step.version}
    return own | kernel_versions(step.kernels) | dict(custom_code(step))
