"""Rubrics: those that come along, and what is refused in others."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from classifiers.judges.rubric import Attribute, Rubric, load_rubric, rubric_path, shipped
from pipeline.errors import ManifestError

SCALE = {"0": "no", "1": "yes"}
OWN = """\
name: own
version: 2
instruction: Judge it.
attributes:
  use:
    question: Of what use is it?
    scale:
      "0": none
      "5": great
"""


def rubric(**attributes: Attribute) -> Rubric:
    return Rubric(name="r", version=1, instruction="Judge.", attributes=attributes)


@pytest.mark.parametrize("name", shipped())
def test_rubrics_that_come_along_are_called_as_their_files(name: str, tmp_path: Path) -> None:
    found = load_rubric(name, tmp_path)
    assert found.name == name
    for attribute in found.attributes.values():
        assert len(attribute.labels) == len(attribute.answers) == len(attribute.meanings)
        assert all(len(answer) == 1 for answer in attribute.answers)


def test_the_usual_three_come_along() -> None:
    assert {"educational_value", "general_quality", "topic_and_format"} <= set(shipped())


def test_own_rubric_is_read_from_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    found = load_rubric("own.yaml", tmp_path)
    use = found.attributes["use"]
    assert (use.labels, use.answers, use.values) == (("0", "5"), ("0", "5"), (0.0, 5.0))
    assert list(found.column_types()) == ["use", "use_p"]
    assert rubric_path("own.yaml", tmp_path) == tmp_path / "own.yaml"


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_rubric("none.yaml", tmp_path)


def test_problems_have_their_place(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN.replace('"5": great', "x: great"))
    with pytest.raises(ManifestError) as caught:
        load_rubric("own.yaml", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("own.yaml", 7)
    assert "single digits" in problem.message


def test_choices_are_answered_by_letters_in_their_order() -> None:
    attribute = Attribute(question="Which?", choices={"zebra": "stripes", "ant": "six legs"})
    assert (attribute.labels, attribute.answers) == (("zebra", "ant"), ("A", "B"))
    assert attribute.values is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scale": SCALE, "choices": {"a": "x", "b": "y"}},
        {"scale": {"0": "no"}},
        {"scale": {"1": "yes", "0": "no"}},
        {"scale": {"0": "no", "10": "yes"}},
        {"scale": {"0": "no", "١": "arabic digit one"}},
        {"scale": {"0": "no", "1": ""}},
        {"choices": {"only": "one"}},
        {"choices": {f"c{n}": "x" for n in range(27)}},
        {"scale": SCALE, "threshold": 3},
    ],
)
def test_attributes_that_cannot_be_answered_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Attribute(question="What?", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "1a", "_source", "é", "a.b", "x" * 65])
def test_attributes_are_names_of_columns(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot name an attribute"):
        rubric(**{name: Attribute(question="What?", scale=SCALE)})


def test_attributes_whose_columns_would_be_the_same_are_refused() -> None:
    attribute = Attribute(question="What?", scale=SCALE)
    with pytest.raises(ValidationError, match="a_p is the column with the probabilities of a"):
        rubric(a=attribute, a_p=attribute)


def test_any_other_word_is_another_digest() -> None:
    one = rubric(a=Attribute(question="What?", scale=SCALE))
    same = rubric(a=Attribute(question="What?", scale=dict(SCALE)))
    other = rubric(a=Attribute(question="What?", scale={"0": "no", "1": "yes!"}))
    assert one.digest == same.digest != other.digest


def test_order_of_categories_is_part_of_the_digest() -> None:
    """It decides which letter stands for which."""
    choices = {"a": "x", "b": "y"}
    one = rubric(k=Attribute(question="Which?", choices=choices))
    other = rubric(k=Attribute(question="Which?", choices=dict(reversed(choices.items()))))
    assert one.digest != other.digest
