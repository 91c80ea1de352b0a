"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from needs import need

# How long an example takes depends on the machine and on what else it does.
settings.register_profile("winnow", deadline=None)
settings.load_profile("winnow")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real text, outside the repository: ``$WINNOW_SHARED`` or ``../shared/data``."""
    path = Path(os.environ.get("WINNOW_SHARED", ROOT.parent / "shared" / "data"))
    need("shared", (path / "domains").is_dir())
    return path
