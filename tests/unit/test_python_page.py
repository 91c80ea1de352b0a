"""docs/python.md and its notebook run as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("somewhere")
def test_examples_of_the_page_run_one_after_the_other(root: Path) -> None:
    page = (root / "docs" / "python.md").read_text()
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"docs/python.md, example {number}", "exec"), names)


@pytest.mark.usefixtures("somewhere")
def test_the_notebook_runs_and_holds_no_output(root: Path) -> None:
    notebook = json.loads((root / "docs" / "python.ipynb").read_text())
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        assert cell["outputs"] == []
        exec(compile("".join(cell["source"]), f"python.ipynb, {cell['id']}", "exec"), names)
    found = names["found"]
    assert found.reasons[:2] == [None, "exact_duplicate"]
    assert all(reason.startswith("gopher_") for reason in found.reasons[2:])
