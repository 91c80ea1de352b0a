"""YAML files beside the manifest, read with the manifest's care and its kind of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import LocatedProblem, ManifestError
from pipeline.manifest.yaml_file import MAX_BYTES, read_yaml


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=1)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    grades: dict[str, str] = {}
    parts: list[Part] = []

    @model_validator(mode="after")
    def _named(self) -> Thing:
        if self.name == "nameless":
            raise ValueError("a thing has a name")
        return self


GOOD = """\
name: thing
grades:
  "0": low
  "1": high
parts:
  - size: 3
"""


def read(folder: Path, text: str | bytes, shown: str = "") -> Thing:
    path = folder / "thing.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path, Thing, "the thing", shown)


def problems(folder: Path, text: str | bytes, shown: str = "") -> list[LocatedProblem]:
    with pytest.raises(ManifestError) as caught:
        read(folder, text, shown)
    assert caught.value.problems
    return caught.value.problems


def test_good_file_becomes_the_model(tmp_path: Path) -> None:
    thing = read(tmp_path, GOOD)
    assert thing == Thing(name="thing", grades={"0": "low", "1": "high"}, parts=[Part(size=3)])
    assert list(thing.grades) == ["0", "1"], "in the order of the file"
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()) == thing, "with a byte order mark, too"


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml", Thing, "the thing")


def test_problem_has_file_line_column_and_code(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("size: 3", "size: 0"), "thing.yaml")
    assert (problem.file, problem.line, problem.column) == ("thing.yaml", 6, 11)
    assert problem.snippet == "  - size: 0"


def test_file_is_called_by_its_path_unless_another_name_is_given(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[1]")
    assert problem.file == str(tmp_path / "thing.yaml")


def test_all_problems_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "nme: thing\nname: 3\nparts:\n  - size: -1\n  - sise: 1\n"
    found = problems(tmp_path, text)
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)
    assert len(found) >= 4
    assert any("name" in problem.hint for problem in found), "what may have been meant"


def test_what_only_the_whole_tells_has_a_place_too(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "name: nameless\n")
    assert "a thing has a name" in problem.message
    assert problem.line == 1


@pytest.mark.parametrize(
    ("text", "got"), [("", "nothing"), ("- 1\n", "list"), ("text\n", "text"), ("3\n", "3")]
)
def test_file_that_is_no_mapping_is_said_to_be_what_it_is(
    tmp_path: Path, text: str, got: str
) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.message.startswith("the thing must be a mapping, ")
    assert got in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nname: b\n",  # a key twice
        "name: &x a\ngrades: *x\n",  # aliases
        "name: !!python/object:os.system x\n",
        "name: [\n",
        "name: 'a\n",
        "name: a\n---\nname: b\n",
        "name: a\n\tgrades: {}\n",
    ],
)
def test_what_manifests_may_not_hold_is_refused_here_too(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_grades_that_are_not_quoted_are_no_text(tmp_path: Path) -> None:
    assert problems(tmp_path, "name: a\ngrades:\n  0: low\n  yes: high\n")


def test_bytes_that_are_not_utf8_and_files_that_are_too_large_are_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, b"name: \xff\n")
    assert (problem.code, problem.message) == (
        "not-utf8",
        "the file is not UTF-8 at byte 6, line 1",
    )
    (problem,) = problems(tmp_path, "#" * (MAX_BYTES + 1))
    assert (problem.code, problem.hint) == ("too-large", "is this the thing?")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_a_thing_or_located_problems(tmp_path: Path, raw: bytes) -> None:
    found: list[LocatedProblem] = []
    try:
        read(tmp_path, raw)
    except ManifestError as error:
        found = error.problems or [LocatedProblem("", 0, 0, "", "none")]
    assert all(problem.line >= 1 and problem.column >= 1 for problem in found)
