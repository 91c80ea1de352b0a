"""Who may import whom: the walls of the house, checked on the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGES = ("winnow", "pipeline", "filters", "dedup", "classifiers", "proxy", "kernels")
PUBLIC = {"winnow", "winnow.commands"}


def imports_of(path: Path) -> set[str]:
    """Names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


def files(root: Path, package: str) -> list[Path]:
    found = sorted((root / package).rglob("*.py"))
    assert found
    return found


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in PACKAGES}


def test_kernels_import_nothing_of_ours_but_kernels(root: Path) -> None:
    for path in files(root, "kernels"):
        assert {n.split(".")[0] for n in ours(imports_of(path))} <= {"kernels"}, path


@pytest.mark.parametrize("package", ["filters", "dedup", "classifiers", "proxy"])
def test_steps_import_the_public_api_and_kernels_never_each_other(root: Path, package: str) -> None:
    for path in files(root, package):
        for name in ours(imports_of(path)):
            allowed = name in PUBLIC or name.split(".")[0] in (package, "kernels")
            assert allowed, f"{path.relative_to(root)} imports {name}"


def test_engine_knows_no_step_by_name(root: Path) -> None:
    for path in files(root, "pipeline"):
        assert {n.split(".")[0] for n in ours(imports_of(path))} <= {"pipeline"}, path


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("datatrove", {"pipeline/engine/executors.py"}),
        ("torch", {"classifiers", "proxy"}),
        ("transformers", {"classifiers", "proxy"}),
        ("aiohttp", {"classifiers"}),
        ("sklearn", {"classifiers"}),
        ("fasttext", {"classifiers"}),
    ],
)
def test_heavy_libraries_stay_at_home(root: Path, library: str, homes: set[str]) -> None:
    for package in PACKAGES:
        for path in files(root, package):
            relative = path.relative_to(root).as_posix()
            if library in {name.split(".")[0] for name in imports_of(path)}:
                assert relative in homes or package in homes, f"{relative} imports {library}"


def test_files_and_functions_stay_short(root: Path) -> None:
    for package in PACKAGES:
        for path in files(root, package):
            lines = path.read_text().splitlines()
            assert len(lines) <= 500, path
            for node in ast.walk(ast.parse("\n".join(lines))):
                if isinstance(node, ast.FunctionDef):
                    length = (node.end_lineno or 0) - node.lineno
                    assert length < 60, f"{path}: {node.name} has {length} lines"
