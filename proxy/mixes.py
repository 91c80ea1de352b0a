"""What a mix is: which sources, or buckets of a score within them, at which weights.

natural: proportional
half:    {web: 0.5, docs: 0.5}
best:    {web: {quality: top 30%}, docs: 0.4}
split:   {web: [{quality: top 10%, weight: 0.5}, {quality: bottom 90%}], tokens: 10B}
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
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

from pipeline.errors import Problem
from pipeline.step import ManifestView

PROPORTIONAL = "proportional"
NATURAL = "natural"
# Four epochs cost next to nothing against fresh tokens (Muennighoff et al. 2023, figure 5).
MAX_EPOCHS = 4.0
_SLACK = 1e-6  # weights are decimal fractions: 0.1 + 0.2 + 0.7 need not give 1 exactly
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)([kKmMbB])")
_BUCKET = re.compile(r"(top|bottom|middle) (\d+(?:\.\d+)?)\s?%")
_SCALE = {"k": 10**3, "m": 10**6, "b": 10**9}


def parse_tokens(value: Any) -> Any:
    """Tokens meant by ``500k``, ``2M``, ``1.5B`` or a plain number; ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = _TOKENS.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a number of tokens; write one like 500k, 2M or 1B")
    return round(float(match[1]) * _SCALE[match[2].lower()])


TokenCount = Annotated[
    int,
    BeforeValidator(parse_tokens),
    Field(gt=0, strict=True),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": _TOKENS.pattern},
            ]
        }
    ),
]


def interval(bucket: str) -> tuple[float, float]:
    """The quantiles [low, high) between which ``top 30%`` and the like lie. ValueError else."""
    match = _BUCKET.fullmatch(bucket.strip())
    if match is None:
        raise ValueError(f"{bucket!r} is not a bucket; write one like top 30%, bottom 50%")
    share = float(match[2]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"{bucket!r}: the share must be above 0% and at most 100%")
    if match[1] == "middle":
        return (1 - share) / 2, (1 + share) / 2
    return (1 - share, 1.0) if match[1] == "top" else (0.0, share)


def _is_bucket(bucket: str) -> str:
    interval(bucket)
    return bucket


Bucket = Annotated[
    str, AfterValidator(_is_bucket), WithJsonSchema({"type": "string", "pattern": _BUCKET.pattern})
]


@dataclass(frozen=True)
class Pile:
    """What is drawn from as one: a source, or the part of it between two quantiles of a score."""

    source: str
    weight: float | None
    max_epochs: float
    column: str = ""
    bucket: str = ""

    @property
    def quantiles(self) -> tuple[float, float]:
        return interval(self.bucket) if self.bucket else (0.0, 1.0)

    @property
    def name(self) -> str:
        return f"{self.source}, {self.column} {self.bucket}" if self.bucket else self.source


class Part(BaseModel):
    """A source in a mix. A key that is not a field names a score column and gives its bucket."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Bucket]

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
        for name, bucket in value.items():
            if name not in cls.model_fields and not isinstance(bucket, str):
                raise ValueError(
                    f"`{name}` is neither `weight` nor `max_epochs`, so it is taken for a score "
                    f"column, but {bucket!r} is no bucket like top 30%"
                )
        return value

    @model_validator(mode="after")
    def _one_bucket(self) -> Part:
        if len(self.buckets) > 1:
            raise ValueError(f"buckets of two columns at once: {', '.join(self.buckets)}")
        return self

    @property
    def buckets(self) -> dict[str, str]:
        return self.__pydantic_extra__ or {}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        return {"anyOf": [number, handler.resolve_ref_schema(handler(core))]}


class Mix(BaseModel):
    """Sources by name with a weight, a bucket or both; or `proportional`.

    A mapping that names no source is proportional, with the options it gives.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, list[Part]]

    tokens: TokenCount | None = Field(
        default=None,
        description="Token budget. Default: `proxy.tokens`; without a proxy, as many tokens as "
        "the training documents of its sources have.",
    )
    max_epochs: float = Field(
        default=MAX_EPOCHS,
        gt=0,
        strict=True,
        description="How often a source may be repeated. What it cannot give is taken from the "
        "others; when none has more, the mix ends short and says so.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        if value == PROPORTIONAL:
            return {}
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{value!r} is neither `{PROPORTIONAL}` nor a mapping like {{web: 0.6, docs: 0.4}}"
            )
        if not value:
            raise ValueError(f"the mix is empty; write `{PROPORTIONAL}` for all sources")
        return {
            name: part if name in cls.model_fields or isinstance(part, list) else [part]
            for name, part in value.items()
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        body = handler.resolve_ref_schema(handler(core))
        parts = body["additionalProperties"]
        body["additionalProperties"] = {"anyOf": [parts["items"], parts]}
        return {"anyOf": [{"const": PROPORTIONAL}, {**body, "minProperties": 1}]}

    @property
    def sources(self) -> dict[str, list[Part]]:
        """Parts by source; empty when the mix is proportional."""
        return self.__pydantic_extra__ or {}

    @property
    def proportional(self) -> bool:
        return not self.sources

    def piles(self, sources: Sequence[str]) -> tuple[Pile, ...]:
        """What the mix draws from, in the manifest's order; ``sources`` when proportional."""
        if self.proportional:
            return tuple(Pile(source, None, self.max_epochs) for source in sources)
        return tuple(
            Pile(source, part.weight, part.max_epochs or self.max_epochs, *_bucket_of(part))
            for source, parts in self.sources.items()
            for part in parts
        )

    def check(self, view: ManifestView) -> Iterator[Problem]:
        """Problems with paths relative to the mix."""
        for source, parts in self.sources.items():
            if source not in view.sources:
                yield Problem(
                    (source,),
                    "unknown-source",
                    f"no source is called {source!r}",
                    did_you_mean(source, [*view.sources, *type(self).model_fields]),
                )
            for column in sorted({column for part in parts for column in part.buckets}):
                if column not in view.columns:
                    yield Problem(
                        (source, column),
                        "unknown-column",
                        f"no step adds a score column {column!r}",
                        did_you_mean(column, [*view.columns, *Part.model_fields]),
                    )
            yield from _overlaps(source, parts)
        yield from self._check_weights()

    def _check_weights(self) -> Iterator[Problem]:
        parts = [part for parts in self.sources.values() for part in parts]
        weights = [part.weight for part in parts if part.weight is not None]
        total, takers = sum(weights), len(parts) - len(weights)
        if total > 1 + _SLACK:
            yield Problem(
                (), "weights", f"the weights add up to {total:.6g}", "make them add up to 1"
            )
        elif takers and total > 1 - _SLACK:
            yield Problem(
                (),
                "weights",
                f"the weights add up to 1 and leave nothing for {takers} part(s) without one",
                "lower a weight, or give every part one",
            )
        elif parts and not takers and total < 1 - _SLACK:
            yield Problem(
                (),
                "weights",
                f"the weights add up to {total:.6g} and no part takes the rest",
                "make them add up to 1, or leave one weight out",
            )


def _bucket_of(part: Part) -> tuple[str, str]:
    return next(iter(part.buckets.items()), ("", ""))


def _overlaps(source: str, parts: Sequence[Part]) -> Iterator[Problem]:
    """A document must not be in two parts of one mix: it would be counted in both."""
    if len(parts) < 2:
        return
    buckets = [_bucket_of(part) for part in parts]
    spans = sorted(interval(bucket) if bucket else (0.0, 1.0) for _, bucket in buckets)
    one_column = len({column for column, _ in buckets}) == 1
    apart = all(a[1] <= b[0] + _SLACK for a, b in pairwise(spans))
    if not (one_column and apart):
        yield Problem(
            (source,),
            "overlapping-buckets",
            f"the {len(parts)} parts of {source!r} share documents",
            "use buckets of one column that do not meet, like top 30% and bottom 70%",
        )


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint naming the nearest of ``known``, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else ""


def with_natural(mixes: Mapping[str, Mix]) -> dict[str, Mix]:
    """All mixes of a manifest: a proportional one leads when none is listed."""
    if any(mix.proportional for mix in mixes.values()):
        return dict(mixes)
    return {NATURAL: Mix.model_validate(PROPORTIONAL), **mixes}
