"""Opening a trained student, verified against its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classifiers.students.embeddings import open_embedder
from classifiers.students.fasttext_student import FastTextStudent
from classifiers.students.head_student import HeadStudent
from classifiers.students.student import Student
from classifiers.students.student_files import TRAIN_AGAIN, Card, read_card, verify
from kernels.fasttext.fasttext_file import ModelError
from winnow import ShardError, cached_by_files


def open_student(folder: Path, base: Path = Path()) -> Student:
    """The student in a folder, verified, read once per process and again when a file has changed.

    ``base`` is where folders of encoders are looked for. Raises ShardError.
    """
    files = tuple(path for path in sorted(folder.glob("*")) if path.is_file())
    return _opened(str(folder), str(base), files)


@cached_by_files(maxsize=16)
def _opened(folder: str, base: str, files: tuple[Path, ...]) -> Student:
    card = read_card(Path(folder))
    verify(Path(folder), card)
    return _student(card, Path(folder), Path(base))


def _student(card: Card, folder: Path, base: Path) -> Student:
    path, digest = folder / card.model, card.files[card.model]
    try:
        if card.student == "fasttext":
            return FastTextStudent(path, card.labels, card.values, digest)
        if card.embedding is None:
            raise ShardError("bad-student", f"the card of '{folder}' has no embedding", TRAIN_AGAIN)
        embedder = open_embedder(card.embedding, folder, base)
        return HeadStudent(path, embedder, card.labels, card.values, digest)
    except ModelError as error:
        raise ShardError("bad-student", f"a model in '{folder}': {error}", TRAIN_AGAIN) from None


def opened(card: Mapping[str, Any], folder: Path, base: Path = Path()) -> Student:
    """The student that was just trained into ``folder``, by what ``train_student`` returned."""
    return _student(Card.model_validate(card), folder, base)
