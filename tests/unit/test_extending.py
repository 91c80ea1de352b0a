"""docs/extending.md: its plug-ins are short, use winnow's public names alone, and work together."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import corpus_rows, winnow

POEMS = {
    "a.txt": "Spring\nthe buds, the rain\n***\nSummer\nheat\n***\nUntitled",
    "b.txt": "LOUD\nTHE BUDS, THE RAIN\n***\nYears\n1 2 3 1990 2000",
    "c.txt": "\n***\n".join(f"{n}\nthe same line\nand line {n}" for n in "abc"),
}
LONGEST = {"shouting.py": 15, "titles.py": 35, "poems.py": 35, "processes.py": 35}


@pytest.fixture(scope="module")
def files(root: Path) -> dict[str, str]:
    """The files that the page shows, by the name in their first line."""
    page = (root / "docs" / "extending.md").read_text()
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", page, re.DOTALL)
    return dict(blocks)


@pytest.fixture(scope="module")
def project(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extending")
    for name, text in (files | POEMS).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("name", "lines"), LONGEST.items())
def test_plugins_are_short(files: dict[str, str], name: str, lines: int) -> None:
    assert len([line for line in files[name].splitlines() if line.strip()]) <= lines


def test_plugins_import_public_names_alone(files: dict[str, str]) -> None:
    ours = ("pipeline", "filters", "dedup", "classifiers", "proxy", "kernels")
    for name in (name for name in files if name.endswith(".py")):
        for node in ast.walk(ast.parse(files[name])):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(ours), name


def test_all_plugins_work_in_one_run(project: Path) -> None:
    done = winnow("run", "manifest.yaml", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = corpus_rows(project / "out")
    assert [row["text"] for row in rows] == ["the buds, the rain"]
    assert [row["length"] for row in rows] == [18]
    results = json.loads((project / "out" / "run_results.json").read_text())
    assert "no-verses" in json.dumps(results)
    assert "'first_words': {'the': 1}" in str(results)
    report = (project / "out" / "report.html").read_text()
    assert "First words" in report
    for reason in ("shouting", "digits", "common_title", "too_short"):
        assert reason in report, reason


def test_the_executor_gives_the_same_bytes_as_the_local_one(project: Path) -> None:
    done = winnow("run", "manifest.yaml", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    local = ("--output", "local", "--set", "store=local-store", "--set", "executor.kind=local")
    done = winnow("run", "manifest.yaml", *local, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "out" / "logs" / "processes.log").exists()
    ours, theirs = committed(project / ".store"), committed(project / "local-store")
    assert len(ours) > 10
    assert ours == theirs


def committed(store: Path) -> dict[str, bytes]:
    """All files of all tasks in a store, by their path in it."""
    files = [path for path in (store / "tasks").rglob("*") if path.is_file()]
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def test_the_tests_on_the_page_pass(project: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_plugins.py"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(project)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_plugin_that_cannot_take_a_document_is_named(project: Path, tmp_path: Path) -> None:
    for name in ("poems.py", *POEMS):
        (tmp_path / name).write_text((project / name).read_text())
    (tmp_path / "exits.py").write_text(
        "import sys\nfrom winnow import RowStep\n\n\n"
        "class Exits(RowStep):\n    def filter(self, docs):\n        sys.exit(0)\n"
    )
    (tmp_path / "m.yaml").write_text(
        "sources: {poems: {format: poems.py:Poems, paths: a.txt, max_bad: 0.5}}\n"
        "steps: [exits.py:Exits]\noutput: out\n"
    )
    done = winnow("run", "m.yaml", cwd=tmp_path)
    shown = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "step-failed Exits (exits.py:5): filter raised SystemExit" in shown
    assert "at exits.py:7" in shown
