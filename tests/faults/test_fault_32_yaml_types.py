"""Fault 32: duplicate keys, and values that YAML 1.1 takes for something else, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import LocatedProblem, ManifestError
from pipeline.manifest import Manifest, load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import RowStep


class Lines(SourceFormat):
    paths: str = ""


class Language(RowStep):
    keep: tuple[str, ...] = ()
    strict: bool = False
    seconds: int = 0
    version: str = ""
    ratio: float = 0.0


REGISTRY = Registry({"language": Language}, {"lines": Lines}, {})


def load(parameters: str, folder: Path) -> Manifest:
    path = folder / "m.yaml"
    path.write_text(f"sources: {{a: {{format: lines}}}}\nsteps:\n  - language: {{{parameters}}}\n")
    return load_manifest(path, registry=REGISTRY)


def problem(parameters: str, folder: Path) -> LocatedProblem:
    with pytest.raises(ManifestError) as caught:
        load(parameters, folder)
    assert caught.value.exit_code == 2
    (found,) = caught.value.problems
    assert found.line == 3
    return found


def test_a_duplicate_key_is_refused_and_both_places_are_named(tmp_path: Path) -> None:
    found = problem("ratio: 1, strict: true, ratio: 2", tmp_path)
    assert (found.code, found.column) == ("duplicate-key", 40)
    assert "line 3, column 16" in found.message


def test_norway_is_a_language(tmp_path: Path) -> None:
    step = load("keep: [no, on, y, off]", tmp_path).steps[0].step
    assert step.model_dump()["keep"] == ("no", "on", "y", "off")


@pytest.mark.parametrize(
    ("parameters", "column", "words"),
    [
        ("strict: no", 24, ["true or false", "'no'", "write false"]),
        ("strict: on", 24, ["true or false", "'on'", "write true"]),
        ("version: 3.10", 25, ["text", "3.10", 'quote it: "3.10"']),
        ("seconds: 12:30:00", 25, ["a whole number", "'12:30:00'"]),
        ("seconds: 017", 25, ["'017'", "write 17"]),
        ("seconds: 1_000", 25, ["a whole number", "write 1000"]),
        ("seconds: '3'", 25, ["a whole number", "remove the quotes"]),
        ("seconds: 3.0", 25, ["a whole number", "write 3"]),
        ("strict: 1", 24, ["true or false", "not 1"]),
        ("keep: [en, 3.10]", 27, ["text", "3.10"]),
        ("ratio: .nan", 23, [".nan is not a finite number"]),
        ("ratio: true", 23, ["a number", "true"]),
    ],
)
def test_a_value_of_another_type_is_refused_and_shown_as_written(
    parameters: str, column: int, words: list[str], tmp_path: Path
) -> None:
    found = problem(parameters, tmp_path)
    assert found.column == column
    for word in words:
        assert word in f"{found.message} {found.hint}"


def test_numbers_where_numbers_belong_are_taken(tmp_path: Path) -> None:
    step = load("ratio: 3.10, seconds: 0x1F, version: '3.10'", tmp_path).steps[0].step
    values = step.model_dump()
    assert (values["ratio"], values["seconds"], values["version"]) == (3.1, 31, "3.10")
