"""Folders of earlier versions are recognised and stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.engine.old_run import refuse_old_run
from pipeline.errors import Refusal


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_numbered_stages_are_those_of_an_old_run(tmp_path: Path) -> None:
    (tmp_path / "stages" / "11-classify@c38a3508" / "kept").mkdir(parents=True)
    before = files(tmp_path)
    with pytest.raises(Refusal, match="a run of an earlier version") as caught:
        refuse_old_run(tmp_path)
    assert caught.value.code == "old-run"
    assert "--output" in caught.value.hint
    assert files(tmp_path) == before


def test_results_of_the_first_schema_are_those_of_an_old_run(tmp_path: Path) -> None:
    (tmp_path / "run_results.json").write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(Refusal):
        refuse_old_run(tmp_path)


@pytest.mark.parametrize("results", ['{"schema_version": 2}', "{", "[]", "null"])
def test_other_folders_are_left_to_the_engine(tmp_path: Path, results: str) -> None:
    refuse_old_run(tmp_path / "none")
    (tmp_path / "run_results.json").write_text(results)
    (tmp_path / "stages" / "my-own-notes").mkdir(parents=True)
    refuse_old_run(tmp_path)
