"""The folder that a trained student is kept in: its card, and the files that the card names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifiers.students.student_settings import Kind
from winnow import ShardError, sha256_file

CARD = "card.json"
FASTTEXT_MODEL = "model.bin"
HEAD_MODEL = "model.safetensors"
WORD_VECTORS = "vectors.bin"
TRAIN_AGAIN = "train it again with the step distill"


class Card(BaseModel):
    """What of a student's card is needed to open it; the rest is for people."""

    model_config = ConfigDict(extra="ignore")

    student: Kind
    labels: tuple[str, ...] = Field(min_length=2)
    values: tuple[float, ...] | None
    embedding: dict[str, Any] | None = None
    files: dict[str, str]

    @property
    def model(self) -> str:
        """The name of the file that the student is identified by."""
        return FASTTEXT_MODEL if self.student == "fasttext" else HEAD_MODEL

    def missing(self) -> Sequence[str]:
        """Files that such a student needs and that the card has no sha256 of."""
        words = self.embedding is not None and self.embedding.get("kind") == "fasttext"
        needed = [self.model, *([WORD_VECTORS] if words else [])]
        return [name for name in needed if name not in self.files]


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """What a model was made from and how good it is, beside it, for people and programs."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card of a student's folder. Raises ShardError where it is none."""
    try:
        card = Card.model_validate(orjson.loads((folder / CARD).read_bytes()))
    except OSError as error:
        message = f"there is no student in '{folder}': {error.strerror}"
        raise ShardError("no-student", message, "name the folder that holds card.json") from None
    except (orjson.JSONDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        message = f"'{folder / CARD}' is no card of a student: {first}"
        raise ShardError("bad-student", message, TRAIN_AGAIN) from None
    if names := card.missing():
        message = f"the card of '{folder}' has no sha256 of {', '.join(names)}"
        raise ShardError("bad-student", message, TRAIN_AGAIN)
    return card


def verify(folder: Path, card: Card) -> None:
    """Raises ShardError when a file is not the one that the card was written for."""
    for name, sha256 in card.files.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise ShardError(
                "no-student", f"the student in '{folder}' has lost {name}", TRAIN_AGAIN
            )
        if sha256_file(path) != sha256:
            message = f"{name} in '{folder}' does not have the sha256 of its card"
            raise ShardError("student-changed", message, "restore the file, or " + TRAIN_AGAIN)
