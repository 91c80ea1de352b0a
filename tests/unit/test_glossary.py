"""Words: public classes use those that the glossary documents, and retired ones stay away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import winnow

PACKAGES = ("winnow", "pipeline", "filters", "dedup", "classifiers", "proxy", "kernels")
# Words of an earlier winnow, as whole words in code, docs and messages.
RETIRED = [
    "BarrierStep",
    "RuleStep",
    "Desk",
    "Doors",
    "Tally",
    "Watchdog",
    "Chapter",
    "Panel",
    "Evidence",
    "Told",
    "Seat",
    "Trouble",
    "Pile",
    "clerk",
    "clerks",
    "crew",
    "watchdog",
    "hirer",
    "hired",
]


def words_of(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", name)
    return {part.lower() for part in parts}


def glossary(root: Path) -> set[str]:
    rows = re.findall(r"^\| ([a-z ]+) \|", (root / "docs" / "glossary.md").read_text(), re.M)
    return {word for row in rows for word in row.split()} - {"word"}


def public_classes() -> list[str]:
    """Classes that plug-ins may use, without those that stand for types in annotations."""
    named = {name: getattr(winnow, name) for name in winnow.__all__}
    found = [name for name, kind in named.items() if isinstance(kind, type) and kind is not Any]
    assert len(found) > 20
    return found


def test_every_public_class_is_named_with_a_documented_word(root: Path) -> None:
    known = glossary(root)
    strangers = [name for name in public_classes() if not words_of(name) & known]
    assert strangers == [], "say what the word means in docs/glossary.md, or use one from there"


@pytest.mark.parametrize("word", RETIRED)
def test_retired_words_are_gone(root: Path, word: str) -> None:
    suffixes = (".py", ".md", ".yaml", ".j2")
    own = Path(__file__)
    found = [
        f"{path.relative_to(root)}:{number}"
        for folder in (*PACKAGES, "docs", "bench", "manifests", "tests")
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in suffixes and path != own and "renamed" not in path.name
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(rf"\b{word}\b", line)
    ]
    assert found == []
