"""Keep the documents with the best scores: an exact share of each group, or a fixed threshold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, FiniteFloat, WithJsonSchema, model_validator

from classifiers.scores.quantiles import Weight
from winnow import (
    Column,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    ManifestView,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
)

BELOW_SCORE = "below_min_score"
BELOW_ROUNDED = "below_rounded"
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s?%")


Names = str | Annotated[tuple[str, ...], Field(min_length=1)]


def parse_share(text: str) -> Fraction:
    """The share meant by ``30%``, exactly. ValueError for other text, 0% and more than 100%."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a share; write one like 30%")
    share = Fraction(match[1]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"{text!r}: the share must be above 0% and at most 100%")
    return share


def _is_share(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a share; write one like 30%")
    parse_share(value)
    return value


Share = Annotated[
    str,
    BeforeValidator(_is_share),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$"}),
]


class LeastScore(NamedTuple):
    """A fixed threshold: the parameter as it is given, the least score to keep, and the reason of
    what is below."""

    parameter: str
    score: np.float32
    reason: str


class Keep(GlobalStep):
    """Keep the documents whose score is high enough and drop the others.

    ``top: 30%`` finds, in each group of ``by``, the highest threshold at or above which there is at
    least this share of the group (of its documents, or of their bytes), and keeps what is at or
    above it. Ties at the threshold all stay, so the share kept can be larger; it is reported, with
    a warning where it is larger by a tenth. A group is one combination of values; null is a value.
    Documents without a score (null, NaN) count for no share and are dropped as ``no_score``.

    Where all scores of a group are equal, ``top`` has nothing to choose by. If that is so in every
    group, the step fails, unless ``all_tied`` says what to do; single groups of that kind are kept
    (or dropped) whole, with a warning. A threshold at the very edge of the scores is warned about.

    ``min_score`` and ``rounded_at_least`` are fixed thresholds; where several are given, a document
    must pass all of them. With ``sources``, documents of other sources are dropped as
    ``other_source`` and count for nothing: texts, say, that a classifier was given to learn from.
    Scores are read as 32-bit floats. Memory while concluding: about 200 MB, and more where there
    are many thousands of groups (docs/adr/0009).
    """

    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"column", "by", "sources"})

    column: str = Field(description="column of the scores")
    top: Share | None = Field(
        default=None, description="share of each group to keep, the best first: `30%`"
    )
    by: Names | None = Field(
        default=None,
        description="columns of text whose values make the groups: `language`, `source`, or a "
        "column that a step adds; one group of all documents without it",
    )
    sources: Names | None = Field(
        default=None, description="sources to keep from; all of them without it"
    )
    of: Weight = Field(default="documents", description="what `top` is a share of")
    min_score: FiniteFloat | None = Field(default=None, description="least score to keep")
    rounded_at_least: int | None = Field(
        default=None,
        ge=-(2**20),
        le=2**20,
        description="least score to keep after rounding to a whole number, halves to the even "
        "one, as Python's `round` does: 3 keeps what is above 2.5",
    )

    all_tied: Literal["refuse", "keep", "drop"] = Field(
        default="refuse",
        description="what `top` does in groups whose scores are all equal, so that it cannot "
        "choose: `keep` or `drop` them whole; `refuse` keeps them too, but fails where no group "
        "has scores that differ",
    )

    @model_validator(mode="after")
    def _something_to_keep(self) -> Keep:
        if (self.top, self.min_score, self.rounded_at_least) == (None, None, None):
            raise ValueError("give `top` (a share), `min_score` or `rounded_at_least`")
        return self

    def reads(self) -> dict[Location, Column]:
        groups = {place: Column(name, "groups") for place, name in _places("by", self.by)}
        return {("column",): Column(self.column, "numbers"), **groups}

    def check(self, view: ManifestView) -> Iterator[Problem]:
        for place, name in _places("sources", self.sources):
            if name not in view.sources:
                message = f"no source is named {name}"
                yield Problem(place, "unknown-source", message, choices=view.sources)

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``score`` [rows] (null without one), ``bytes`` [rows] of text, and ``by.NAME`` [rows], of
        the documents of ``sources``."""
        from classifiers.scores.keep_documents import map_scores

        return map_scores(self, docs)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        """Writes groups.parquet: per group its documents, the score at the share (``cut``), the
        threshold, and what is at or above it. Raises ShardError where scores order nothing."""
        from classifiers.scores.keep_documents import find_thresholds

        return find_thresholds(self, reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from classifiers.scores.keep_documents import keep_documents

        return keep_documents(self, docs, artifacts)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.scores.scores_report import keep_sections

        return keep_sections(label, self.column, metrics)

    def share(self) -> Fraction | None:
        """The share that ``top`` asks for, exactly."""
        return None if self.top is None else parse_share(self.top)

    def group_columns(self) -> tuple[str, ...]:
        """The columns of ``by``, each once."""
        names = (self.by,) if isinstance(self.by, str) else self.by or ()
        return tuple(dict.fromkeys(names))

    def fixed(self) -> list[LeastScore]:
        """The thresholds that are the same for every group."""
        found = []
        if self.min_score is not None:
            given = f"min_score: {self.min_score:g}"
            found.append(LeastScore(given, _at_least(self.min_score), BELOW_SCORE))
        if self.rounded_at_least is not None:
            half = np.float32(self.rounded_at_least - 0.5)
            # Halves go to the even number: 1.5 up to 2, but 2.5 down to 2 as well.
            odd = self.rounded_at_least % 2 == 1
            least = np.nextafter(half, np.float32(np.inf)) if odd else half
            given = f"rounded_at_least: {self.rounded_at_least}"
            found.append(LeastScore(given, least, BELOW_ROUNDED))
        return found


def _places(key: str, names: Names | None) -> list[tuple[Location, str]]:
    """Where in the step each of ``names`` is written."""
    if names is None or isinstance(names, str):
        return [] if names is None else [((key,), names)]
    return [((key, number), name) for number, name in enumerate(names)]


def _at_least(value: float) -> np.float32:
    """The least 32-bit float that is not below ``value``."""
    with np.errstate(over="ignore"):
        near = np.float32(value)
    return np.nextafter(near, np.float32(np.inf)) if float(near) < value else near
