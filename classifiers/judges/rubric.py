"""Rubrics: what a judge is asked of a document, and between which answers it chooses.

A rubric is a YAML file with a name, a version, an instruction and attributes. An attribute is
either a ``scale`` (grades from low to high, scored by their expectation) or ``choices`` (named
categories). The judge answers each with one token: a grade's digit, or a letter per category.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from winnow import ManifestError, digest, read_yaml

SHIPPED = Path(__file__).parents[1] / "rubrics"
NAME = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
Meaning = Annotated[str, Field(min_length=1)]


class Attribute(BaseModel):
    """One question about a document, with a ``scale`` or with ``choices``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, description="what is asked")
    scale: dict[str, Meaning] | None = Field(
        default=None, description="grade (one digit) → what it stands for, in rising order"
    )
    choices: dict[str, Meaning] | None = Field(
        default=None, description="category → what belongs to it, at most 26"
    )

    @field_validator("scale")
    @classmethod
    def _digits_in_order(cls, scale: dict[str, str] | None) -> dict[str, str] | None:
        if scale is None:
            return scale
        if not all(len(grade) == 1 and grade in string.digits for grade in scale):
            raise ValueError("the grades of a scale are single digits, 0 to 9")
        if len(scale) < 2 or sorted(scale) != list(scale):
            raise ValueError("a scale has two grades at least, in rising order")
        return scale

    @field_validator("choices")
    @classmethod
    def _one_letter_each(cls, choices: dict[str, str] | None) -> dict[str, str] | None:
        if choices is not None and not 2 <= len(choices) <= len(string.ascii_uppercase):
            raise ValueError("choices are 2 to 26 categories, a letter for each")
        return choices

    @model_validator(mode="after")
    def _scale_or_choices(self) -> Attribute:
        if (self.scale is None) == (self.choices is None):
            raise ValueError("an attribute has either a scale or choices")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What answers are called: grades, or categories, in the rubric's order."""
        return tuple(self.scale or self.choices or ())

    @property
    def answers(self) -> tuple[str, ...]:
        """The one-token answer that stands for each of ``labels``."""
        return self.labels if self.scale else tuple(string.ascii_uppercase[: len(self.labels)])

    @property
    def values(self) -> tuple[float, ...] | None:
        """The grades as numbers; None for categories, which have no order."""
        return tuple(map(float, self.labels)) if self.scale else None

    @property
    def meanings(self) -> tuple[str, ...]:
        """What each of ``labels`` stands for."""
        return tuple((self.scale or self.choices or {}).values())


class Rubric(BaseModel):
    """What a judge is asked about every document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    version: int = Field(ge=1, description="raised whenever a word changes")
    instruction: str = Field(min_length=1, description="who judges what, and by which measure")
    attributes: dict[str, Attribute] = Field(min_length=1, description="name → question")

    @field_validator("attributes")
    @classmethod
    def _names(cls, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        for name in attributes:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r} cannot name an attribute: letters, digits and _")
            if f"{name}_p" in attributes:
                raise ValueError(f"{name}_p is the column with the probabilities of {name}")
        return attributes

    @property
    def first(self) -> str:
        """Name of the first attribute: gold labels and injection probes are about it by default."""
        return next(iter(self.attributes))

    @property
    def digest(self) -> str:
        """Of every word in it: another wording gives other labels. So does another order, which
        gives categories other letters."""
        return digest(self.model_dump_json())

    def column_types(self) -> dict[str, pa.DataType]:
        """The columns that labels by this rubric add to documents: a score (or category) and the
        probabilities of each attribute's labels."""
        types: dict[str, pa.DataType] = {}
        for name, attribute in self.attributes.items():
            types[name] = pa.large_string() if attribute.values is None else pa.float32()
            types[f"{name}_p"] = pa.struct([(label, pa.float32()) for label in attribute.labels])
        return types


def shipped() -> Sequence[str]:
    """Names of the rubrics that come along."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def rubric_path(name: str, folder: Path) -> Path:
    """The file meant by ``name``: a shipped rubric's name, or a path from ``folder``."""
    return SHIPPED / f"{name}.yaml" if name in shipped() else folder / name


def load_rubric(name: str, folder: Path) -> Rubric:
    """Raises ManifestError with the places of its problems, OSError without a file."""
    path = rubric_path(name, folder)
    shown = f"{name}.yaml" if path.parent == SHIPPED else name
    return read_yaml(path, Rubric, "the rubric", shown)


__all__ = ["Attribute", "ManifestError", "Rubric", "load_rubric", "rubric_path", "shipped"]
