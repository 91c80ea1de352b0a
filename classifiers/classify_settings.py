"""Parameters of the step `classify`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from classifiers.students.student_settings import FastTextSettings
from winnow import Problem

MIN_DOCUMENTS = 50
MODEL = "model.bin"
# Each class with its label in what is mapped.
SIDES = {"positive": 1, "negative": -1}

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]


class Classes(BaseModel):
    """Names of the sources that stand for the two classes, one or several each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    positive: Names = Field(description="source or sources of good documents")
    negative: Names = Field(description="source or sources of the others")

    def names(self, side: str) -> tuple[str, ...]:
        value: Names = getattr(self, side)
        return (value,) if isinstance(value, str) else value

    def check(self, known: tuple[str, ...]) -> Iterator[Problem]:
        """Sources that do not exist, or that stand on both sides; paths begin at ``train``."""
        for side in SIDES:
            single = isinstance(getattr(self, side), str)
            for number, name in enumerate(self.names(side)):
                path = ("train", side) if single else ("train", side, number)
                if name not in known:
                    message = f"no source is named {name}"
                    yield Problem(path, "unknown-source", message, choices=known)
                elif side == "negative" and name in self.names("positive"):
                    message = f"{name} is both positive and negative"
                    hint = "name sources that differ"
                    yield Problem(path, "source-on-both-sides", message, hint)


class ClassifySettings(FastTextSettings):
    """What the classifier learns from, and how."""

    train: Classes
    student: Literal["fasttext"] = Field(default="fasttext", description="kind of classifier")
    column: str = Field(
        default="quality",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="name of the column with the score, from 0 to 1",
    )
    max_documents: int = Field(
        default=20_000, ge=MIN_DOCUMENTS, description="most documents of a class to learn from"
    )
    seed: int | None = Field(
        default=None, ge=0, description="seed of sample and training; by default the manifest's"
    )
