"""Train a small model on documents that a large one has labelled, and score all others by it.

So FineWeb-Edu scored 15 T tokens by 460,000 labels (Penedo et al. 2024, arXiv 2406.17557, section
4); students of soft labels are those of WebOrganizer (Wettig et al. 2025, arXiv 2502.10341).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from classifiers.distill_settings import DistillSettings
from classifiers.students.student_settings import SentenceTransformer, column_types
from winnow import (
    Column,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    ManifestView,
    NamesFiles,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
)


class Distill(NamesFiles, GlobalStep, DistillSettings):
    """Train a student on labelled documents and append its score to all documents.

    It learns from the documents where ``{labels}_p`` is not null, distinct ones, and is measured on
    a tenth of them that it has not seen. Of a scale it appends ``column``, the expected grade
    (float32, the lowest grade for a document without any word); of categories the most probable
    one and ``{column}_confidence``, its probability (null and 0 without any word);
    ``{column}_student`` says which student it was. Nothing is dropped. The student is kept as the
    step's artifacts, where ``score`` takes it from for other corpora.
    """

    kernels: ClassVar[tuple[str, ...]] = ("fasttext", "text")
    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"labels"})

    def files(self) -> Mapping[Location, Path]:
        if self.student == "fasttext" or not isinstance(self.embedding, SentenceTransformer):
            return {}
        from classifiers.students.sentence_embedder import model_files

        folder = self.located(Path(self.embedding.model))
        return {
            ("embedding", "model", path.relative_to(folder).as_posix()): path
            for path in model_files(folder)
        }

    def reads(self) -> dict[Location, Column]:
        return {("labels",): Column(f"{self.labels}_p")}

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        yield from self._check_unused()
        if self.student != "fasttext" and isinstance(self.embedding, SentenceTransformer):
            yield from self._check_encoder(self.embedding)

    def _check_unused(self) -> Iterator[Problem]:
        heads = ("linear", "mlp")
        for name, kinds in (
            ("fasttext", ("fasttext",)),
            ("embedding", heads),
            ("hidden", ("mlp",)),
        ):
            if name in self.model_fields_set and self.student not in kinds:
                message = f"{name} has no part in a student {self.student}"
                hint = f"leave it out, or student: {' or '.join(kinds)}"
                yield Problem((name,), "unused-parameter", message, hint)

    def _check_encoder(self, encoder: SentenceTransformer) -> Iterator[Problem]:
        from classifiers.students.sentence_embedder import INSTALL, installed

        if not installed():
            message = "sentence-transformers is not installed"
            yield Problem(("embedding", "kind"), "no-library", message, INSTALL)
        folder = self.located(Path(encoder.model))
        if not folder.is_dir() and encoder.revision is None:
            message = f"there is no folder '{encoder.model}', and of a hub's model no revision"
            hint = "paths begin at the manifest's folder; of a hub's model name the commit"
            yield Problem(("embedding", "model"), "no-revision", message, hint)

    def adds(self) -> dict[str, None]:
        # Whether labels are a scale shows when they are read: of one there is no confidence.
        return dict.fromkeys(column_types(self.column, scale=False))

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: whether the document has one; ``hash`` [rows] of the place."""
        from classifiers.distill_training import map_labels

        return map_labels(self, docs)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        from classifiers.distill_training import distill

        return distill(self, self.located(Path()), reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from classifiers.students.preprocessing import TextBatch
        from classifiers.students.student_loading import open_student

        student = open_student(artifacts, self.located(Path()))
        columns = student.columns(self.column, TextBatch(docs.text))
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns=columns)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.distill_report import sections

        return sections(label, self.column, artifacts)
