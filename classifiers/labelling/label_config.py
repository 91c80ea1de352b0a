"""What a manifest says about labelling: which documents, for how much, and what is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from classifiers.judges.judge_config import Part, ServerSpec


class SampleSpec(Part):
    """Which documents are labelled: so many of every stratum, chosen by a hash of their place."""

    documents: int = Field(default=2_000, ge=1, description="how many are labelled")
    by: tuple[Literal["source", "length", "language"], ...] = Field(
        default=("source", "length", "language"),
        description="what makes a stratum; lengths in powers of four bytes",
    )
    score: str = Field(
        default="", description="column of a cheap score, whose quarters split strata further"
    )
    allocation: Literal["equal", "proportional"] = Field(
        default="equal",
        description="as many of each stratum, or as many as its share; weights make up for it",
    )


class Budget(Part):
    """Where paying ends. What was paid for stays in the label store."""

    tokens: int | None = Field(default=None, gt=0, description="prompt and generated tokens")
    gpu_seconds: float | None = Field(default=None, gt=0, description="server time × GPUs")
    money: float | None = Field(default=None, gt=0, description="in the currency of `price`")


class GoldSpec(Part):
    """Labels by people, to measure the judge against: JSON lines, compressed too, or Parquet."""

    path: str = Field(min_length=1, description="the file, from the manifest's folder")
    text: str = Field(default="text", description="field with the document")
    label: str = Field(default="label", description="field with the grade or category")
    source: str = Field(default="source", description="field with its source, if it has one")
    language: str = Field(default="language", description="field with its language, if it has one")
    attribute: str = Field(
        default="", description="the attribute it grades; by default the rubric's first"
    )
    threshold: float | None = Field(
        default=None, description="grade from which a document is good, for F1 (upper half)"
    )


class Checks(Part):
    """What is measured about the judge beside the labels. Numbers are documents of the sample."""

    gold: GoldSpec | None = Field(default=None, description="labels by people")
    retest: int = Field(default=0, ge=0, description="asked a second time")
    position: int = Field(default=0, ge=0, description="asked with the grades in reverse order")
    truncation: int = Field(default=0, ge=0, description="asked with half of their tokens")
    injection_probes: int = Field(default=0, ge=0, description="asked with injected orders in them")
    other_judge: ServerSpec | None = Field(
        default=None, description="a second judge, asked about the gold set or 100 documents"
    )
