"""What a command may import before it has anything to do: start-up is mostly imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Prints the modules that are loaded when a command ends.
RUN_COMMAND = """
import atexit, sys

atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
sys.argv = ["winnow", *sys.argv[1:]]
from pipeline.cli import main
main()
"""
DECLARE_ALL = """
import sys
from pipeline.manifest.registry import Registry

registry = Registry.installed()
found = [*map(registry.step, registry.step_names), *map(registry.format, registry.format_names)]
assert len(found) > 20
print(*sorted(sys.modules), file=sys.stderr)
"""
# What Python puts there by itself or for an editable installation.
ALWAYS = ("__", "_distutils_hack", "_virtualenv", "_sysconfigdata", "_cython", "cython")
HELP = {
    *("typer", "annotated_doc", "shellingham", "orjson"),
    *("winnow", "pipeline", "classifiers"),
}
VALIDATE = {
    *HELP,
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    *("ruamel", "_ruamel_yaml"),
    *("filters", "dedup", "proxy", "kernels", "lazy_loader"),
}
PLAN = {*VALIDATE, "rich"}
# What steps compute with, which some of them import where they are declared.
DECLARE = {*VALIDATE, "numpy", "pyarrow", "cloudpickle", "xxhash"}
# Parts of these packages that take long by themselves.
NOT_YET = {"pyarrow.compute", "pyarrow.parquet", "pyarrow.dataset", "numpy.testing"}


def loaded(root: Path, code: str, *arguments: str) -> set[str]:
    """The packages that ``code`` loads, apart from Python's own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.splitlines()[-1].split())
    assert modules & NOT_YET == set()
    packages = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    return {name for name in packages if not name.startswith(ALWAYS)}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_no_more_than_the_command_line(root: Path, option: str) -> None:
    assert loaded(root, RUN_COMMAND, option) - HELP == set()


def test_a_manifest_is_checked_against_declarations_alone(root: Path) -> None:
    """No numpy, no pyarrow, no compiler of kernels, no spaCy and no torch: a step's module declares
    it, and what it computes with is imported when it runs."""
    assert loaded(root, RUN_COMMAND, "validate", "manifests/quickstart.yaml") - VALIDATE == set()


def test_a_plan_is_made_without_what_tasks_compute_with(root: Path, tmp_path: Path) -> None:
    """Receipts and digests say what is to be done: no text is read, and no array is made."""
    arguments = ("plan", "manifests/quickstart.yaml", "--output", str(tmp_path / "run"))
    assert loaded(root, RUN_COMMAND, *arguments) - PLAN == set()


def test_every_step_and_format_is_declared_without_what_it_computes_with(root: Path) -> None:
    assert loaded(root, DECLARE_ALL) - DECLARE == set()
