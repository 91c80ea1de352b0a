"""What a mix is: which sources, or parts of them, at which weights.

natural: proportional
half:    {web: 0.5, docs: 0.5}
best:    {web: {quality: top 30%}, docs: 0.4}
split:   {web: [{quality: top 10%, weight: 0.5}, {quality: bottom 90%}], tokens: 10B}
topics:  {web: [{topic: science, weight: 0.6}, {topic: [health, law], format: tutorial}]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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

from proxy.mixing.components import Component, Part, overlaps
from winnow import ManifestView, Problem

PROPORTIONAL = "proportional"
NATURAL = "natural"
# Four epochs cost next to nothing against fresh tokens (Muennighoff et al. 2023, figure 5).
MAX_EPOCHS = 4.0
# Columns of every document that sort documents.
DOCUMENT_CATEGORIES = ("language",)
_SLACK = 1e-6  # weights are decimal fractions: 0.1 + 0.2 + 0.7 need not give 1 exactly
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)([kKmMbB])")
_SCALE = {"k": 10**3, "m": 10**6, "b": 10**9}


def parse_tokens(value: Any) -> Any:
    """Tokens meant by ``500k``, ``2M``, ``1.5B`` or a plain number; ValueError for other text, and
    for what can only be meant for a source of this name."""
    if isinstance(value, float | Mapping | list):
        raise ValueError(
            f"{value!r} is not a number of tokens; a source called `tokens` needs another name, "
            "because this key is the token budget of the mix"
        )
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


class Mix(BaseModel):
    """Sources by name with a weight, or one part or a list of parts; or `proportional`.

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

    def components(self, sources: Sequence[str]) -> tuple[Component, ...]:
        """What the mix draws from, in the manifest's order; ``sources`` when proportional."""
        if self.proportional:
            return tuple(Component(source, None, self.max_epochs) for source in sources)
        return tuple(
            part.component(source, self.max_epochs)
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
                    choices=view.sources,
                )
            yield from self._check_columns(source, parts, view)
            yield from overlaps(source, parts)
        yield from self._check_weights()

    def _check_columns(
        self, source: str, parts: Sequence[Part], view: ManifestView
    ) -> Iterator[Problem]:
        scored = {column for part in parts for column in part.buckets}
        for column in sorted({column for part in parts for column in part.choices}):
            always = () if column in scored else DOCUMENT_CATEGORIES
            if column not in (*view.columns, *always):
                known = dict.fromkeys([*view.columns, *always, *Part.model_fields])
                yield Problem(
                    (source, column),
                    "unknown-column",
                    f"no step adds a column {column!r}",
                    choices=tuple(known),
                )

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


def with_natural(mixes: Mapping[str, Mix]) -> dict[str, Mix]:
    """All mixes of a manifest: a proportional one leads when none is listed."""
    if any(mix.proportional for mix in mixes.values()):
        return dict(mixes)
    return {NATURAL: Mix.model_validate(PROPORTIONAL), **mixes}
