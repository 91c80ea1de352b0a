"""Fault 62: a corpus of which nothing is left fails, unless that was allowed."""

from __future__ import annotations

from pathlib import Path

from small_runs import load, small_project

from pipeline.engine.run import run


def test_nothing_left_fails_and_says_which_step_dropped_it(tmp_path: Path) -> None:
    results = run(load(small_project(tmp_path), "steps.Short.least=1000"))
    assert results.exit_code == 1
    (failure,) = results.failures
    assert failure.code == "nothing-left"
    assert "Short:short" in failure.message
    assert "allow_empty" in failure.hint


def test_nothing_left_may_be_allowed(tmp_path: Path) -> None:
    path = small_project(tmp_path)
    results = run(load(path, "steps.Short.least=1000", "gates.allow_empty=true"))
    assert results.exit_code == 0
    assert results.documents.kept.documents == 0
    assert results.documents.rows == 9
