"""Documents by their number of tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

import kernels.words
from winnow import (
    Docs,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Rule,
    ShardError,
    Signals,
    ThresholdFilter,
    cached_by_files,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What the library is handed at once, which bounds what it holds.
GROUP_CHARACTERS = 2**20
GROUP_TEXTS = 1_024

Counts = npt.NDArray[np.int64]


class TokenLength(NamesFiles, ThresholdFilter):
    """Drop documents with too few or too many tokens.

    No special tokens are added, and the name of one in a text ("<|endoftext|>") is text like any
    other.
    """

    kernels: ClassVar[tuple[str, ...]] = ("words",)

    tokenizer: Path = Field(
        description="tokenizer.json of the `tokenizers` library, from the manifest's folder"
    )
    min_tokens: int | None = Field(None, ge=0, description="least number of tokens")
    max_tokens: int | None = Field(None, ge=0, description="largest number of tokens")

    @model_validator(mode="after")
    def _has_limits(self) -> TokenLength:
        low, high = self.min_tokens, self.max_tokens
        if low is None and high is None:
            raise ValueError("set `min_tokens`, `max_tokens` or both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"no number is at least {low} and at most {high}")
        return self

    def files(self) -> Mapping[Location, Path]:
        return {("tokenizer",): self.located(self.tokenizer)}

    def check(self, view: ManifestView) -> Iterator[Problem]:
        problems = list(super().check(view))
        yield from problems
        if not problems:
            try:
                self._counter()
            except ShardError as error:
                yield Problem(("tokenizer",), error.code, error.message, error.hint)

    def measure(self, docs: Docs) -> Signals:
        return {"tokens": self._counter().count(docs.text)}

    def rules(self) -> list[Rule]:
        rules = []
        if self.min_tokens is not None:
            rules.append(Rule("too_few_tokens", "tokens", "min_tokens", least=self.min_tokens))
        if self.max_tokens is not None:
            rules.append(Rule("too_many_tokens", "tokens", "max_tokens", most=self.max_tokens))
        return rules

    def _counter(self) -> Counter:
        return load_counter(self.located(self.tokenizer))


@dataclass(frozen=True)
class Counter:
    """``by_segment``: a text's tokens are those of its segments (kernels.words.segments), each
    of which is then encoded once."""

    tokenizer: Tokenizer
    by_segment: bool

    def count(self, text: pa.LargeStringArray) -> Counts:
        """Tokens [rows] of each text."""
        # The engine runs one task per core; threads of the library would compete with them.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        if not self.by_segment:
            return self._count(text.to_pylist())
        found = kernels.words.segments(text)
        each = self._count(found.texts)[found.kind]
        return np.diff(np.concatenate([np.zeros(1, np.int64), np.cumsum(each)])[found.starts])

    def _count(self, texts: Sequence[str]) -> Counts:
        counts: list[int] = []
        begin = 0
        while begin < len(texts):
            end, size = begin, 0
            while end < len(texts) and end - begin < GROUP_TEXTS and size < GROUP_CHARACTERS:
                size += len(texts[end])
                end += 1
            group = self.tokenizer.encode_batch_fast(texts[begin:end], add_special_tokens=False)
            counts += map(len, group)
            begin = end
        return np.array(counts, dtype=np.int64)


@cached_by_files(maxsize=4)
def load_counter(path: Path) -> Counter:
    """Raises ShardError when the file holds no tokenizer."""
    from tokenizers import Tokenizer

    try:
        described = json.loads(Tokenizer.from_file(str(path)).to_str())
    except Exception as error:  # the library raises nothing more precise
        message = f"{path.name} is no tokenizer: {error}"
        raise ShardError("bad-tokenizer", message, "give a tokenizer.json") from error
    # Without its special tokens the library takes their names in a text for text.
    described["added_tokens"] = [t for t in described["added_tokens"] if not t["special"]]
    described |= {"post_processor": None, "padding": None, "truncation": None}
    plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    cutter = described["pre_tokenizer"] or {}
    changes = described["normalizer"] or described["added_tokens"]
    by_segment = not changes and plain.items() <= cutter.items()
    return Counter(Tokenizer.from_str(json.dumps(described)), by_segment)
