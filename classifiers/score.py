"""Score documents by students that were trained before, on any corpus, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, StringConstraints

from classifiers.students.student_files import CARD, read_card, verify
from classifiers.students.student_settings import column_types
from winnow import (
    Docs,
    FilterResult,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    RowStep,
    ShardError,
)

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Score(NamesFiles, RowStep):
    """Append the scores of finished students; nothing is dropped.

    A student is a folder with its card and model: the artifacts of a step ``distill``
    (``…distill.reduce…/artifacts`` of its run). Of a scale ``COLUMN`` is the expected
    grade, of categories the most probable one with ``COLUMN_confidence``; ``COLUMN_student`` says
    which student it was. A student whose files do not have the sha256 of its card is refused.
    """

    kernels: ClassVar[tuple[str, ...]] = ("fasttext", "text")

    students: dict[Name, Path] = Field(
        min_length=1, description="column → folder of the student, from the manifest's folder"
    )

    def files(self) -> Mapping[Location, Path]:
        return {
            ("students", column, name): folder / name
            for column, folder in self._folders().items()
            for name in (CARD, *self._files_of(folder))
        }

    def missing(self, place: Location, path: Path) -> Problem:
        message = f"there is no student in '{self._written(path.parent)}': it has no {path.name}"
        hint = "name the folder that holds card.json, such as the artifacts of a step distill"
        return Problem(place[:2], "no-student", message, hint)

    def check(self, view: ManifestView) -> Iterator[Problem]:
        lost = list(super().check(view))
        yield from lost
        for column, folder in self._folders().items():
            place: Location = ("students", column)
            if place not in {problem.path for problem in lost}:
                try:
                    verify(folder, read_card(folder))
                except ShardError as error:
                    yield Problem(place, error.code, error.message, error.hint)

    def adds(self) -> dict[str, pa.DataType]:
        folders = self._folders().items()
        return {
            name: kind
            for column, folder in folders
            for name, kind in self._names(column, folder).items()
        }

    def prepare(self, sample: Docs) -> None:
        from classifiers.students.preprocessing import TextBatch
        from classifiers.students.student_loading import open_student

        some = TextBatch(sample.text)
        for column, folder in self._folders().items():
            embedding = read_card(folder).embedding
            # An encoder is loaded by each worker: its threads would not survive a fork.
            if embedding is None or embedding["kind"] == "fasttext":
                open_student(folder, self.located(Path())).columns(column, some)

    def filter(self, docs: Docs) -> FilterResult:
        from classifiers.students.preprocessing import TextBatch
        from classifiers.students.student_loading import open_student

        texts = TextBatch(docs.text)
        columns: dict[str, pa.Array] = {}
        for column, folder in self._folders().items():
            columns |= open_student(folder, self.located(Path())).columns(column, texts)
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns=columns)

    def _folders(self) -> dict[str, Path]:
        return {column: self.located(folder) for column, folder in self.students.items()}

    def _files_of(self, folder: Path) -> list[str]:
        try:
            return sorted(Path(name).name for name in read_card(folder).files)
        except ShardError:
            return []

    def _names(self, column: str, folder: Path) -> dict[str, pa.DataType]:
        try:
            return column_types(column, scale=read_card(folder).values is not None)
        except ShardError:
            return {column: pa.float32()}
