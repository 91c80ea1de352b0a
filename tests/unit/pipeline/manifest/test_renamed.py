"""Names of earlier versions get an error that gives the name of today."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import winnow
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.plugin_files import custom_step
from pipeline.manifest.registry import PluginError, Registry
from pipeline.manifest.renamed import RENAMED_CLASSES, RENAMED_MEMBERS, RENAMED_WORDS, renamed_word

OLD_ROW_STEP = """
from winnow import RowStep


class Shouting(RowStep):
    def judge(self, docs):
        raise AssertionError
"""
OLD_GLOBAL_STEP = """
from typing import ClassVar

from winnow import GlobalStep


class Rare(GlobalStep):
    observed_parameters: ClassVar[frozenset[str]] = frozenset()

    def observe(self, docs):
        raise AssertionError

    def conclude(self, evidence, folder):
        raise AssertionError
"""


def failure(tmp_path: Path, code: str, name: str) -> PluginError:
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(PluginError) as caught:
        custom_step(f"own.py:{name}", tmp_path)
    return caught.value


def test_a_row_step_of_the_old_api_is_refused_with_the_new_method(tmp_path: Path) -> None:
    error = failure(tmp_path, OLD_ROW_STEP, "Shouting")
    assert error.code == "renamed"
    assert error.hint.startswith("RowStep.judge is called RowStep.filter now; docs/extending.md")


def test_every_old_method_of_a_global_step_is_named(tmp_path: Path) -> None:
    hint = failure(tmp_path, OLD_GLOBAL_STEP, "Rare").hint
    assert "GlobalStep.observe is called GlobalStep.map now" in hint
    assert "GlobalStep.conclude is called GlobalStep.reduce now" in hint
    assert "GlobalStep.observed_parameters is called GlobalStep.map_parameters now" in hint


def test_a_method_of_ones_own_may_have_an_old_name(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"{OLD_ROW_STEP}\n    def filter(self, docs):\n        pass\n")
    assert custom_step("own.py:Shouting", tmp_path).__name__ == "Shouting"


@pytest.mark.parametrize(
    "code", ["from winnow import Verdict", "import winnow\nwinnow.Verdict", "Verdict"]
)
def test_an_old_class_is_refused_with_the_new_one(tmp_path: Path, code: str) -> None:
    error = failure(tmp_path, f"{code}\n", "Shouting")
    assert error.code == "broken-step"
    assert error.hint.startswith("Verdict is called FilterResult now; ")


def test_what_else_fails_is_not_taken_for_an_old_name(tmp_path: Path) -> None:
    assert failure(tmp_path, "from winnow import Nonsense\n", "X").hint == "repair the file"


def test_an_old_key_is_refused_with_the_new_one() -> None:
    ((old, new),) = RENAMED_WORDS.items()
    assert renamed_word(old, [new, "other"]) == f"'{old}' is called '{new}' now"
    assert renamed_word(old, ["other"]) == ""


def test_an_old_entry_point_is_noted_beside_the_field_that_nobody_reads(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = EntryPoints([EntryPoint("audit", "audit_package:Audit", "winnow.sections")])
    monkeypatch.setattr("pipeline.manifest.registry._entry_points", lambda: old)
    path = tmp_path / "m.yaml"
    path.write_text("sources: {a: {format: jsonl, paths: x}}\naudit: 1\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=registry)
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert "audit_package:Audit is offered as winnow.sections" in problem.hint


def test_the_new_names_are_there() -> None:
    for base, members in RENAMED_MEMBERS.items():
        for new in members.values():
            assert hasattr(getattr(winnow, base), new), f"{base}.{new}"
    public = {name for name in RENAMED_CLASSES.values() if hasattr(winnow, name)}
    assert {"FilterResult", "ThresholdFilter", "GlobalStep", "Extension", "Block"} <= public
    assert not [old for old in RENAMED_CLASSES if hasattr(winnow, old)]
