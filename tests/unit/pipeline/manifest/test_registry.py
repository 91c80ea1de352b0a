"""Names become classes: installed ones on first use, custom ones from a file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline.errors import Refusal
from pipeline.manifest.plugin_files import custom_step, is_custom
from pipeline.manifest.registry import PluginError, Registry, step_labels
from pipeline.step import RowStep

SHOUTING = """\
from __future__ import annotations
from pipeline.step import RowStep, FilterResult

class Shouting(RowStep):
    "Drop documents in capitals."
    max_ratio: float = 0.5

class Helper:
    pass
"""


def entry(value: str) -> list[EntryPoint]:
    return [EntryPoint("it", value, "winnow.steps")]


def refused(name: str, folder: Path) -> PluginError:
    with pytest.raises(PluginError) as caught:
        custom_step(name, folder)
    return caught.value


def test_labels_are_unique_and_short() -> None:
    names = ["a", "b", "a", "x/my.py:A", "my.py:A", "a", "a_2"]
    assert step_labels(names) == ["a", "b", "a_2", "A", "A_2", "a_3", "a_2_2"]
    assert is_custom("x/my.py:A")
    assert not is_custom("gopher_quality")


def test_entry_points_are_imported_on_use_alone() -> None:
    registry = Registry(
        {"good": entry("pipeline.step:RowStep"), "bad": entry("no_such_module:X")}, {}, {}
    )
    assert registry.step_names == ["bad", "good"]
    assert registry.step("good") is RowStep
    with pytest.raises(PluginError) as caught:
        registry.step("bad")
    assert caught.value.code == "broken-plugin"
    assert "no_such_module" in caught.value.message


def test_a_class_of_another_kind_is_refused() -> None:
    registry = Registry(
        {"step": entry("pathlib:Path")}, {"format": entry("pipeline.step:RowStep")}, {}
    )
    with pytest.raises(PluginError, match="neither a RowStep"):
        registry.step("step")
    with pytest.raises(PluginError, match="not a SourceFormat"):
        registry.format("format")


def test_a_name_claimed_twice_says_by_whom() -> None:
    registry = Registry({"it": [*entry("one:A"), *entry("two:B")]}, {}, {})
    with pytest.raises(PluginError, match="one:A and two:B"):
        registry.step("it")


def test_what_is_installed_has_the_entry_points_of_the_project() -> None:
    registry = Registry.installed()
    assert "gopher_quality" in registry.step_names
    assert "jsonl" in registry.format_names
    assert "proxy" in registry.extension_names


def test_a_custom_step_is_a_class_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(SHOUTING)
    step = custom_step("my_filters.py:Shouting", tmp_path)
    assert step.model_validate({"max_ratio": 0.4}).model_dump() == {"max_ratio": 0.4}
    assert custom_step("my_filters.py:Shouting", tmp_path) is step
    assert not list(tmp_path.glob("__pycache__"))


def test_an_edited_file_is_another_class(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(SHOUTING)
    first = custom_step("my_filters.py:Shouting", tmp_path)
    (tmp_path / "my_filters.py").write_text(SHOUTING.replace("0.5", "0.6"))
    second = custom_step("my_filters.py:Shouting", tmp_path)
    assert (first().model_dump(), second().model_dump()) == ({"max_ratio": 0.5}, {"max_ratio": 0.6})


def test_a_custom_step_crosses_into_a_fresh_process(tmp_path: Path, root: Path) -> None:
    (tmp_path / "my_filters.py").write_text(SHOUTING)
    step = custom_step("my_filters.py:Shouting", tmp_path)(max_ratio=0.25)  # type: ignore[call-arg]
    assert pickle.loads(pickle.dumps(step)) == step  # noqa: S301
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).max_ratio)"
    out = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(step), capture_output=True, cwd=root,
        check=True,
    )  # fmt: skip
    assert out.stdout == b"0.25\n"


def test_a_file_edited_under_way_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(SHOUTING)
    pickled = pickle.dumps(custom_step("my_filters.py:Shouting", tmp_path)())
    (tmp_path / "my_filters.py").write_text(SHOUTING + "\n")
    with pytest.raises(Refusal, match="was edited during the run"):
        pickle.loads(pickled)  # noqa: S301


def test_errors_of_custom_files_say_what_and_where(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(SHOUTING)
    (tmp_path / "syntax.py").write_text("x = 1\nclass (:\n")
    (tmp_path / "raises.py").write_text("import os\n\nraise KeyError('k')\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    missing = refused("my_filter.py:Shouting", tmp_path)
    assert (missing.code, missing.hint) == ("no-plugin-file", "did you mean 'my_filters.py'?")
    typo = refused("my_filters.py:Shoutin", tmp_path)
    assert (typo.code, typo.hint) == ("unknown-class", "did you mean 'Shouting'?")
    assert refused("my_filters.py:Helper", tmp_path).code == "not-a-step"
    assert "line 2: SyntaxError" in refused("syntax.py:A", tmp_path).message
    assert "line 3: KeyError" in refused("raises.py:A", tmp_path).message
    assert "line 1: SystemExit" in refused("exits.py:A", tmp_path).message
