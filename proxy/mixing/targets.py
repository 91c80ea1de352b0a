"""What a target of the evaluation can be: a share of a source that is held out, or a file."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

AGGREGATE = "all"  # the target of a comparison about the mean over targets
DEFAULT_SHARE = 0.02
# Of fewer documents, an interval by Student's t is wrong too often when few of them hold most of
# the difference: with lognormal differences 11 to 18 % instead of 5 %, and a sample this small
# cannot show its own tail.
MIN_DOCUMENTS = 21
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s?%")
_HELD_OUT = re.compile(r"held_out (.+)")


def parse_share(text: str) -> float:
    """The share meant by ``2%``. ValueError for other text, and beyond 50 %."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a share; write one like 2%")
    share = float(match[1]) / 100
    if not 0 < share <= 0.5:
        raise ValueError(f"{text!r}: hold out more than 0% and at most 50%")
    return share


def _is_share(text: str) -> str:
    parse_share(text)
    return text


class SourceTarget(BaseModel):
    """A share of the documents of the source that the target is called after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    held_out: Annotated[str, AfterValidator(_is_share)] = Field(
        description="Share of the source's documents: `2%`."
    )
    cluster: str | None = Field(
        default=None,
        description="A column whose equal values are documents that are alike (of one book, say). "
        "Default: the id up to its last `/`, where that gives five groups or more.",
    )

    @property
    def share(self) -> float:
        return parse_share(self.held_out)


class FileTarget(BaseModel):
    """An evaluation file: JSON lines, plain or compressed, or Parquet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(description="Its path, relative to the manifest.")
    score: str | None = Field(
        default=None,
        description="The field whose text is scored. Default: the answer, where a row has `query` "
        "with `answer`, `continuation`, or `choices` and `gold`; else `text`, where a row has no "
        "other text.",
    )
    context: str | None = Field(
        default=None, description="A field whose text stands before it and is not scored."
    )
    gold: str = Field(
        default="gold",
        description="The field with the number, from 0, of the right one where `score` or "
        "`context` is a list.",
    )
    cluster: str | None = Field(
        default=None, description="A field whose equal values are rows that are alike."
    )


def _from_short(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _HELD_OUT.fullmatch(value.strip())
    return {"held_out": match[1]} if match else {"file": value}


# A string is short for a share (``held_out 2%``) or for a file whose rows say what is scored.
Target = Annotated[SourceTarget | FileTarget, BeforeValidator(_from_short, str | dict[str, Any])]
