"""Score documents by a classifier trained on sources held to be good against others.

The recipe of DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): fastText, positive against
negative documents, the score is P(positive).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from classifiers.students.student_settings import FastTextSettings
from winnow import (
    Docs,
    FilterResult,
    GlobalStep,
    ManifestView,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
)

if TYPE_CHECKING:
    import pyarrow as pa

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


class Classify(GlobalStep, FastTextSettings):
    """Append a quality score: P(positive) by a classifier of positive against negative sources.

    Nothing is dropped. Up to ``max_documents`` distinct documents of each class, as many of one as
    of the other, are sampled by a hash of where they come from; a tenth of them measures the model
    and the others train it. ``seed`` picks the sample and starts the training (default: the
    manifest's). Documents without any word score 0.
    """

    kernels: ClassVar[tuple[str, ...]] = ("fasttext", "text")
    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"train"})

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

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from self.train.check(view.sources)

    def adds(self) -> dict[str, str]:
        return {self.column: "float32"}

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: 1 positive, -1 negative, 0 neither; ``hash`` [rows] of the place.

        Texts are not copied: ``reduce`` finds them by row.
        """
        from classifiers.classify_training import map_classes

        return map_classes(self, docs)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        from classifiers.classify_training import train_classifier

        return train_classifier(self, reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        import numpy as np

        from classifiers.students.fasttext_classifier import load
        from classifiers.students.preprocessing import TextBatch

        scores = load(artifacts / MODEL).score(TextBatch(docs.text), "positive")
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns={self.column: scores})

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.classify_report import sections

        return sections(label, self.column, artifacts)
