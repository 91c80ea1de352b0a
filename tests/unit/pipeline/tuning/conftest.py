"""A small project, measured once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from measure_fixtures import write_project

from pipeline.manifest import load_manifest
from pipeline.tuning.measure_run import measure


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_project(tmp_path_factory.mktemp("measured") / "project")
    done = measure(load_manifest(path, (), path.parent / "out"))
    assert done.results.exit_code == 0, done.results.failures
    return path


@pytest.fixture
def measured(measured_once: Path, tmp_path: Path) -> Path:
    """The manifest of a project that is measured into ``out`` beside it; free to be changed."""
    shutil.copytree(measured_once.parent, tmp_path / "project", copy_function=shutil.copy2)
    return tmp_path / "project" / "m.yaml"
