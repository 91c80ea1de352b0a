"""A part of a mix: a source, or those of its documents that columns choose.

docs:   0.4
web:    {quality: top 30%}
web:    [{topic: science, weight: 0.3}, {topic: [health, law], format: tutorial, quality: top 50%}]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from winnow import Problem

_SLACK = 1e-6  # shares are decimal fractions: 0.3 + 0.7 need not give 1 exactly
_BUCKET = re.compile(r"(top|bottom|middle) (\d+(?:\.\d+)?)\s?%")
# Text that was meant for a bucket; a category is never guessed from a bucket with a mistake in it.
_LIKE_BUCKET = re.compile(r"\s*(?:top|bottom|middle)\s+-?[\d.]|.*%\s*$")

Category = str | int
Values = tuple[Category, ...]


def interval(bucket: str) -> tuple[float, float]:
    """The quantiles [low, high) between which ``top 30%`` and the like lie. ValueError else."""
    match = _BUCKET.fullmatch(bucket.strip())
    if match is None:
        raise ValueError(
            f"{bucket!r} is not a bucket; write one like top 30%, bottom 50%, "
            f"or [{bucket!r}] for a category of that name"
        )
    share = float(match[2]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"{bucket!r}: the share must be above 0% and at most 100%")
    if match[1] == "middle":
        return (1 - share) / 2, (1 + share) / 2
    return (1 - share, 1.0) if match[1] == "top" else (0.0, share)


def _is_category(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _choice(value: Any) -> str | Values:
    """A bucket as text, categories as a tuple."""
    if isinstance(value, list | tuple):
        if not value or not all(map(_is_category, value)):
            raise ValueError(f"{list(value)!r} is not a list of categories")
        return tuple(dict.fromkeys(value))
    if not _is_category(value):
        raise ValueError(f"{value!r} is neither a bucket like top 30% nor a category")
    if isinstance(value, str) and _LIKE_BUCKET.match(value):
        interval(value)
        return value
    return (value,)


_CATEGORY_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
Choice = Annotated[
    str | Values,
    BeforeValidator(_choice),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_BUCKET.pattern}$"},
                {"type": "string", "not": {"pattern": f"^(?:{_LIKE_BUCKET.pattern})"}},
                {"type": "integer"},
                {"type": "array", "items": _CATEGORY_SCHEMA, "minItems": 1},
            ]
        }
    ),
]


@dataclass(frozen=True)
class Component:
    """What is drawn from as one: a source, or those of its documents that have one of the values
    of every column in ``categories``, and of these the part between two quantiles of a score."""

    source: str
    weight: float | None
    max_epochs: float
    column: str = ""
    bucket: str = ""
    categories: tuple[tuple[str, Values], ...] = ()

    @property
    def quantiles(self) -> tuple[float, float]:
        return interval(self.bucket) if self.bucket else (0.0, 1.0)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it needs."""
        scored = (self.column,) if self.bucket else ()
        return (*(column for column, _ in self.categories), *scored)

    @property
    def name(self) -> str:
        words = [f"{column} {formatted(values)}" for column, values in self.categories]
        words += [f"{self.column} {self.bucket}"] if self.bucket else []
        return ", ".join([self.source, *words])


def formatted(values: Values) -> str:
    """``a``, ``a or b``; runs of three whole numbers and more as ``12 to 17``."""
    if len(values) < 3 or not all(isinstance(value, int) for value in values):
        return " or ".join(map(str, values))
    runs: list[list[int]] = []
    for value in sorted(int(value) for value in values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    ranges = [f"{r[0]} to {r[-1]}" if len(r) > 2 else " or ".join(map(str, r)) for r in runs]
    return " or ".join(ranges)


class Part(BaseModel):
    """A source in a mix, or a part of one.

    A key that is not a field names a column. `top 30%`, `bottom 30%` or `middle 30%` is a bucket of
    its scores; any other text or whole number is a category, and a list names several. Categories
    of several columns are an intersection. One column at most may have a bucket: it is cut among
    the documents that the categories select, by tokens. A text that no document has, or numbers of
    which no document has any, end the run.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Choice]

    weight: float | None = Field(
        default=None,
        gt=0,
        le=1,
        strict=True,
        description="Share of the mix's tokens. Parts without one share what the others leave, "
        "in proportion to the tokens they have.",
    )
    max_epochs: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Epoch cap of this source (the mix's if unset).",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"weight": value}
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{value!r} is neither a weight nor a mapping like {{quality: top 30%}}"
            )
        for name, chosen in value.items():
            known = _is_category(chosen) or isinstance(chosen, list | tuple)
            if name not in cls.model_fields and not known:
                raise ValueError(
                    f"`{name}` is neither `weight` nor `max_epochs`, so it is taken for a column, "
                    f"but {chosen!r} is neither a bucket like top 30% nor a category"
                )
        return value

    @model_validator(mode="after")
    def _one_bucket(self) -> Part:
        if len(self.buckets) > 1:
            raise ValueError(f"buckets of two columns at once: {', '.join(self.buckets)}")
        return self

    @property
    def choices(self) -> dict[str, str | Values]:
        """By column, a bucket (text) or categories (a tuple)."""
        return self.__pydantic_extra__ or {}

    @property
    def buckets(self) -> dict[str, str]:
        return {name: value for name, value in self.choices.items() if isinstance(value, str)}

    @property
    def categories(self) -> dict[str, Values]:
        return {name: value for name, value in self.choices.items() if isinstance(value, tuple)}

    def component(self, source: str, max_epochs: float) -> Component:
        """``max_epochs`` is the mix's."""
        column, bucket = next(iter(self.buckets.items()), ("", ""))
        categories = tuple(self.categories.items())
        return Component(
            source, self.weight, self.max_epochs or max_epochs, column, bucket, categories
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        return {"anyOf": [number, handler.resolve_ref_schema(handler(core))]}


def overlaps(source: str, parts: Sequence[Part]) -> Iterator[Problem]:
    """A document must not be in two parts of one mix: it would be counted in both."""
    for (first, one), (second, other) in combinations(enumerate(parts, 1), 2):
        if not _apart(one, other):
            yield Problem(
                (source,),
                "overlapping-parts",
                f"parts {first} and {second} of {source!r} may share documents",
                "name different categories of one column, or, of the same documents, buckets of "
                "one column that do not meet, like top 30% and bottom 70%",
            )
            return


def _apart(one: Part, other: Part) -> bool:
    """Whether no document can be in both parts, whatever the documents are."""
    shared = one.categories.keys() & other.categories.keys()
    if any(set(one.categories[c]).isdisjoint(other.categories[c]) for c in shared):
        return True
    if {c: set(v) for c, v in one.categories.items()} != {
        c: set(v) for c, v in other.categories.items()
    }:
        # Quantiles of different documents: two buckets may meet at any score.
        return False
    if not one.buckets or one.buckets.keys() != other.buckets.keys():
        return False
    (low, high), (low_other, high_other) = (
        interval(*part.buckets.values()) for part in (one, other)
    )
    return high <= low_other + _SLACK or high_other <= low + _SLACK
