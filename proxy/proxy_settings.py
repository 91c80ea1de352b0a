"""What the manifest's `tokenizer` and `proxy` may say. Imports no library beyond pydantic."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from proxy.mixing.mixes import TokenCount
from proxy.mixing.targets import Target
from proxy.training.sizes import parse_size

DEFAULT_MODEL = "1m"
END_OF_TEXT = "<|endoftext|>"
MAX_VOCABULARY = 2**20  # the largest published ones have about a quarter of it
MIN_VOCABULARY = 257  # every byte, and the end of text


def _is_size(model: str) -> str:
    parse_size(model)
    return model


class Proxy(BaseModel):
    """Small paired pretraining runs that compare the mixes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Annotated[str, AfterValidator(_is_size)] = Field(
        default=DEFAULT_MODEL, description="Parameters of the model: `100k`, `1m`, `30m`."
    )
    tokens: TokenCount = Field(
        default=2_000_000, description="Tokens that each trial trains on: `500k`, `2M`, `1B`."
    )
    seeds: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Trials per mix. One seed alone leaves every verdict undecided.",
    )
    evaluate: dict[str, Target] | None = Field(
        default=None,
        min_length=1,
        description="What is evaluated, by name: `held_out 2%` of the source of that name, the "
        "path of a file whose answers or texts are scored, or a mapping that says more. Default: "
        "2% of every source. Of a source at least 32 and at most 400 documents are held out, of a "
        "file at most 400 are used; of each, 4,096 bytes spread over it are scored. Fewer than 21 "
        "documents leave a target undecided.",
    )
    baseline: str | None = Field(
        default=None,
        description="The mix that the others are compared with. Default: the proportional one.",
    )


class TokenizerSpec(BaseModel):
    """Where the tokenizer comes from: `{vocabulary: 2048}` or `{file: tokenizer.json}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int | None = Field(
        default=None,
        ge=MIN_VOCABULARY,
        le=MAX_VOCABULARY,
        strict=True,
        description="Tokens to train, all bytes and the end-of-text token included. Default: by "
        "the size of the proxy model (2,048 for `1m`).",
    )
    file: str | None = Field(
        default=None,
        description="A tokenizer.json of the `tokenizers` library to use instead, relative to the "
        "manifest. Must be lossless. With more than 65,536 tokens, token files hold "
        "32 bits per token instead of 16.",
    )
    end_of_text: str = Field(
        default=END_OF_TEXT, min_length=1, description="The token put after every document."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> TokenizerSpec:
        if self.file is not None and self.vocabulary is not None:
            raise ValueError("give either `vocabulary` or `file`: a file has its own vocabulary")
        return self
