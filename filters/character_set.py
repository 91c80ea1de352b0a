"""Documents by the share of their characters that are of certain kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

import kernels.text
from winnow import Docs, ManifestView, Problem, Rule, Signals, ThresholdFilter


class CharacterSet(ThresholdFilter):
    """Drop documents with too small or too large a share of certain characters.

    The share is of all characters, or of those in ``among``: ``characters: [Latin]`` and
    ``among: [letters]`` asks how many of the letters are Latin. A set is one of letters, upper,
    lower, digits, alphanumeric, space, printable, ascii, marks, punctuation and symbols, as
    Python's ``str`` has them, or the name of a script. Where there is no character to take a share
    of, a document is dropped as ``empty`` when ``min_ratio`` is set.
    """

    kernels: ClassVar[tuple[str, ...]] = ("text",)

    characters: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="sets of characters, or scripts, that are counted"
    )
    among: tuple[str, ...] = Field(
        (), description="sets or scripts that the share is taken of; by default all characters"
    )
    min_ratio: float | None = Field(None, ge=0, le=1, description="least share")
    max_ratio: float | None = Field(None, ge=0, le=1, description="largest share")

    @model_validator(mode="after")
    def _has_limits(self) -> CharacterSet:
        low, high = self.min_ratio, self.max_ratio
        if low is None and high is None:
            raise ValueError("set `min_ratio`, `max_ratio` or both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"no share is at least {low:g} and at most {high:g}")
        return self

    def check(self, view: ManifestView) -> Iterator[Problem]:
        classes = ", ".join(kernels.text.CLASSES)
        known = f"one of {classes}; or a script of Unicode, such as Latin, Cyrillic, Han"
        for field in ("characters", "among"):
            for number, name in enumerate(getattr(self, field)):
                if name not in kernels.text.CLASSES and not kernels.text.is_script(name):
                    message = f"{name!r} is no set of characters"
                    yield Problem((field, number), "unknown-characters", message, known)

    def measure(self, docs: Docs) -> Signals:
        part, whole = kernels.text.count_characters(docs.text, self.characters, self.among)
        with np.errstate(invalid="ignore"):  # 0 / 0
            return {"character_set_ratio": part / whole}

    def rules(self) -> list[Rule]:
        signal = "character_set_ratio"
        rules = []
        if self.min_ratio is not None:
            rules.append(Rule("empty", signal, defined=True))
            rules.append(Rule("character_set_low", signal, "min_ratio", least=self.min_ratio))
        if self.max_ratio is not None:
            rules.append(Rule("character_set_high", signal, "max_ratio", most=self.max_ratio))
        return rules
