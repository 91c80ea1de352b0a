from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_page_of_files_is_the_generated_one(root: Path) -> None:
    made = subprocess.run(
        [sys.executable, root / "docs" / "make_files_page.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (root / "docs" / "files.md").read_text() == made.stdout, "run: make schemas"
    assert ": .\n" not in made.stdout, "every file says what it holds"
