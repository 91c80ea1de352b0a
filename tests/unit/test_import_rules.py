"""Who may import whom (the contracts are in pyproject.toml), and what importing a step loads."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# What takes long to load, and decides nothing before documents are read.
HEAVY = {
    *("numba", "spacy", "scipy", "ftfy", "tldextract", "tokenizers", "datatrove", "regex"),
    *("torch", "transformers", "sklearn", "fasttext", "aiohttp"),
}
ROOMS = ("text", "hashing", "words", "ngrams", "lines", "match", "pii", "fasttext")
STEPS = sorted(
    {
        entry.module
        for entry in entry_points(group="winnow.steps")
        if entry.module.startswith(("filters.", "dedup.", "classifiers."))
    }
)


def loaded_by(root: Path, code: str) -> set[str]:
    """The modules that a fresh interpreter has after running ``code``."""
    report = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_imports_keep_the_contracts(root: Path) -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rooms_of_kernels_load_nothing_until_they_are_used(root: Path) -> None:
    loaded = loaded_by(root, "\n".join(f"import kernels.{room}" for room in ROOMS))
    assert not loaded & (HEAVY | {"numpy", "pyarrow"})
    assert {name for name in loaded if name.count(".") > 1 and name.startswith("kernels.")} == set()


def test_steps_load_no_kernels_and_no_heavy_libraries(root: Path) -> None:
    assert STEPS
    loaded = loaded_by(root, "\n".join(f"import {module}" for module in STEPS))
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("kernels.") and name.count(".") > 1} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_everything_that_a_room_offers_is_there(room: str) -> None:
    module = __import__(f"kernels.{room}", fromlist=["VERSION"])
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert module.VERSION >= 1
