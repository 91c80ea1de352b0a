"""Training a student of any kind into a folder, and opening it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifiers.sampling import Hashes
from classifiers.students import fasttext_student, head_student
from classifiers.students.embeddings import (
    VECTORS,
    Embedder,
    Embedding,
    FastTextVectors,
    open_embedder,
    train_vectors,
)
from classifiers.students.fasttext_student import FastTextStudent, train_fasttext
from classifiers.students.fasttext_training import Settings, library
from classifiers.students.head_student import HeadStudent
from classifiers.students.head_training import train_head
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student import Student
from classifiers.students.view import Texts
from kernels.fasttext.fasttext_file import ModelError
from winnow import ShardError, sha256_file

CARD = "card.json"
AGAIN = "train it again with the step distill"
Kind = Literal["fasttext", "linear", "mlp"]


@dataclass(frozen=True)
class Recipe:
    """Which student is trained, and how."""

    student: Kind = "fasttext"
    fasttext: Settings = field(default_factory=Settings)
    embedding: Embedding = field(default_factory=lambda: FastTextVectors(kind="fasttext"))
    hidden: int = 32


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
        return fasttext_student.MODEL if self.student == "fasttext" else head_student.MODEL

    def missing(self) -> Sequence[str]:
        """Files that such a student needs and that the card has no sha256 of."""
        words = self.embedding is not None and self.embedding.get("kind") == "fasttext"
        needed = [self.model, *([VECTORS] if words else [])]
        return [name for name in needed if name not in self.files]


def train_student(
    recipe: Recipe,
    texts: Texts,
    soft: SoftLabels,
    hashes: Hashes,
    corpus: Texts,
    seed: int,
    folder: Path,
    base: Path = Path(),
    vectors: Path | None = None,
) -> dict[str, Any]:
    """Train on ``texts`` with labels ``soft`` and write the model's files into ``folder``.

    ``hashes`` [n] are the documents' own; ``corpus`` are documents to learn word vectors from, in
    the order given, unless ``vectors`` is the file of those that came of it before; folders of
    encoders are looked for from ``base``. Returns what opens the student: the card's part that
    ``Card`` describes, and its settings.
    """
    card: dict[str, Any] = {
        "student": recipe.student,
        "labels": list(soft.labels),
        "values": None if soft.values is None else list(soft.values),
    }
    if recipe.student == "fasttext":
        card |= {"library": library()}
        card |= train_fasttext(texts, soft, hashes, recipe.fasttext, seed, folder)
    else:
        embedding, embedder = _embedder(recipe.embedding, corpus, folder, base, vectors)
        fitted = train_head(embedder.vectors(texts), soft, recipe.student, recipe.hidden, seed)
        kind = {"student": recipe.student, "embedding": embedding}
        fitted.head.save(folder / head_student.MODEL, {**card, **kind})
        hidden = {"hidden": recipe.hidden} if recipe.student == "mlp" else {}
        card |= {"embedding": embedding, "settings": {**hidden, "penalty": fitted.penalty}}
    names = sorted(path.name for path in folder.iterdir() if path.name != CARD)
    return {**card, "files": {name: sha256_file(folder / name) for name in names}}


def _embedder(
    embedding: Embedding, corpus: Texts, folder: Path, base: Path, vectors: Path | None
) -> tuple[dict[str, Any], Embedder]:
    """What the card says of the embedding, and the embedder itself."""
    if isinstance(embedding, FastTextVectors):
        if vectors is None:
            train_vectors(corpus, embedding, folder / VECTORS)
        else:
            copyfile(vectors, folder / VECTORS)
        sha256 = sha256_file(folder / VECTORS)
        told = {**embedding.model_dump(), "library": library(), "sha256": sha256}
    else:
        from classifiers.students.sentence_embedder import described

        told = described(embedding, base)
    return told, open_embedder(told, folder, base)


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
        raise ShardError("bad-student", message, AGAIN) from None
    if names := card.missing():
        message = f"the card of '{folder}' has no sha256 of {', '.join(names)}"
        raise ShardError("bad-student", message, AGAIN)
    return card


def verify(folder: Path, card: Card) -> None:
    """Raises ShardError when a file is not the one that the card was written for."""
    for name, sha256 in card.files.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise ShardError("no-student", f"the student in '{folder}' has lost {name}", AGAIN)
        if sha256_file(path) != sha256:
            message = f"{name} in '{folder}' does not have the sha256 of its card"
            raise ShardError("student-changed", message, "restore the file, or " + AGAIN)


def open_student(folder: Path, base: Path = Path()) -> Student:
    """The student in a folder, verified, read once per process and again when a file has changed.

    ``base`` is where folders of encoders are looked for. Raises ShardError.
    """
    stats = tuple(
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.glob("*"))
        if path.is_file()
    )
    return _opened(folder, base, stats)


@lru_cache(maxsize=16)
def _opened(folder: Path, base: Path, stats: tuple[tuple[str, int, int], ...]) -> Student:
    card = read_card(folder)
    verify(folder, card)
    return _student(card, folder, base)


def _student(card: Card, folder: Path, base: Path) -> Student:
    path, digest = folder / card.model, card.files[card.model]
    try:
        if card.student == "fasttext":
            return FastTextStudent(path, card.labels, card.values, digest)
        if card.embedding is None:
            raise ShardError("bad-student", f"the card of '{folder}' has no embedding", AGAIN)
        embedder = open_embedder(card.embedding, folder, base)
        return HeadStudent(path, embedder, card.labels, card.values, digest)
    except ModelError as error:
        raise ShardError("bad-student", f"a model in '{folder}': {error}", AGAIN) from None


def opened(card: Mapping[str, Any], folder: Path, base: Path = Path()) -> Student:
    """The student that was just trained into ``folder``, by what ``train_student`` returned."""
    return _student(Card.model_validate(card), folder, base)
