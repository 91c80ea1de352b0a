"""Workbenches for the tests of the proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from winnow.testing import Workbench


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def benches(tmp_path: Path) -> Callable[[str], Workbench]:
    """Workbenches by name, each in a folder of its own."""
    return lambda name: Workbench(tmp_path / name)
