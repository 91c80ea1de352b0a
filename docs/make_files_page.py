"""Writes docs/files.md: a line for each file of the code, the first of its docstring.

python docs/make_files_page.py > docs/files.md
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("winnow", "pipeline", "kernels", "filters", "dedup", "classifiers", "proxy", "bench")


def summary(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


def page() -> Iterator[str]:
    """The page, line by line."""
    yield "# Files"
    yield ""
    yield "What each file holds, as its docstring says. Made by `make schemas`."
    for package in PACKAGES:
        folders = [ROOT / package, *sorted(p for p in (ROOT / package).rglob("*") if p.is_dir())]
        for folder in folders:
            files = sorted(folder.glob("*.py"))
            if not files:
                continue
            yield ""
            yield f"## {folder.relative_to(ROOT).as_posix()}/"
            yield ""
            own = folder / "__init__.py"
            if own in files:
                yield summary(own)
                yield ""
            yield from (f"- `{f.name}`: {summary(f)}" for f in files if f != own)


if __name__ == "__main__":
    print("\n".join(page()))
