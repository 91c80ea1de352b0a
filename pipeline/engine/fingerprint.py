"""Digests: of files, of values, and of the code that a stage's outputs depend on."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

# The method of steps and extensions that draws the report; what it imports decides no output.
TELLING = "report_sections"
OURS = ("winnow", "pipeline", "filters", "dedup", "classifiers", "proxy", "kernels")
# Libraries that decide what comes out; a new version of one means new outputs.
DECIDING = {
    "datatrove": "datatrove",
    "fasttext": "fasttext-numpy2",
    "ftfy": "ftfy",
    "numba": "numba",
    "numpy": "numpy",
    "orjson": "orjson",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
    "spacy": "spacy",
    "tldextract": "tldextract",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "xxhash": "xxhash",
}


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-like value, the same for equal values whatever their key order."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """Hex sha256 of the source of ``modules`` and of everything of ours that they import, and of
    the versions of the libraries among their imports that decide outputs."""
    sources: dict[str, str] = {}
    libraries: set[str] = set()
    todo = sorted(set(modules))
    # A step of somebody else's: what its own package or its own folder holds belongs to it.
    foreign = [name for name in todo if name.split(".")[0] not in OURS]
    roots = {*OURS, *(name.split(".")[0] for name in foreign)}
    folders = {path.parent for name in foreign if (path := _source_of(name)) is not None}
    while todo:
        name = todo.pop()
        path = _source_of(name)
        if name in sources or path is None:
            continue
        code, imported = _read(path)
        sources[name] = code
        libraries.update(root for root in _roots(imported) if root in DECIDING)
        todo += [
            found
            for found in imported
            if found.split(".")[0] in roots
            or (folders and (where := _source_of(found)) is not None and where.parent in folders)
        ]
    versions = {name: _version(name) for name in libraries}
    return digest({"sources": sources, "libraries": versions, "python": sys.version_info[:2]})


@lru_cache(maxsize=1024)
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """A file's digest and the names its imports may refer to."""
    source = path.read_bytes()
    names = tuple(sorted(set(_imports(ast.parse(source)))))
    return hashlib.sha256(source).hexdigest(), names


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in _deciding(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # ``from filters import words`` names a module, ``from filters.words import x`` not;
            # those that are no module have no source and are passed over.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _deciding(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those of functions that only tell the report what was found."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if not (isinstance(node, ast.FunctionDef) and node.name == TELLING):
            todo += ast.iter_child_nodes(node)
        yield node


def _roots(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@lru_cache(maxsize=1024)
def _source_of(name: str) -> Path | None:
    """The file of a module, found without importing anything (a package's own code would run)."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file) if file else None
    root, *rest = name.split(".")
    spec = find_spec(root)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*rest) if rest else Path(spec.origin)
    choices = [path] if path.suffix else [path.with_suffix(".py"), path / "__init__.py"]
    return next((choice for choice in choices if choice.is_file()), None)


def _version(root: str) -> str:
    try:
        return version(DECIDING[root])
    except PackageNotFoundError:
        return "absent"
