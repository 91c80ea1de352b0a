"""A model to ask, for the tests of labelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_model import shared_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model, made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    return shared_tiny_model(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
