"""Parameters of the step `distill`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from classifiers.students.student_settings import (
    FastTextSettings,
    FastTextVectors,
    Kind,
    SentenceTransformer,
)

MIN_DOCUMENTS = 50


class DistillSettings(BaseModel):
    """What the student learns from, and how."""

    labels: str = Field(
        min_length=1, description="column with the labels, whose probabilities are in `{labels}_p`"
    )
    column: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="name of the column with the score"
    )
    student: Kind = Field(
        default="fasttext",
        description="`fasttext` classifies words and word n-grams, `linear` and `mlp` are heads "
        "on an embedding of the document",
    )
    fasttext: FastTextSettings = Field(
        default=FastTextSettings(), description="of the student `fasttext`"
    )
    embedding: FastTextVectors | SentenceTransformer = Field(
        discriminator="kind",
        default=FastTextVectors(kind="fasttext"),
        description="what the heads see of a document",
    )
    hidden: int = Field(default=32, ge=1, le=4_096, description="units of `mlp`'s hidden layer")
    max_documents: int = Field(
        default=100_000, ge=MIN_DOCUMENTS, description="most labelled documents to learn from"
    )
    sample: int = Field(
        default=20_000,
        ge=1,
        description="documents, labelled or not, that thresholds are taken from",
    )
    seed: int | None = Field(
        default=None, ge=0, description="seed of samples and training; by default the manifest's"
    )
