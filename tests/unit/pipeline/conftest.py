"""Small steps, formats and extensions to write manifests for, apart from the installed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pytest
from pydantic import Field

from pipeline.errors import Problem
from pipeline.extension import Extension
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import GlobalStep, ManifestView, RowStep


class GopherQuality(RowStep):
    """Word counts of web text."""

    min_stop_words: int = Field(default=2, ge=0, description="Different stop words needed.")
    max_ratio: float = Field(default=0.1, ge=0, le=1)
    stop_words: tuple[str, ...] = ("the", "be")
    strict: bool = False


class Classify(GlobalStep):
    """Scores documents."""

    positive: str
    column: str = "quality"
    student: Literal["fasttext", "linear"] = "fasttext"

    def check(self, view: ManifestView) -> Iterator[Problem]:
        if self.positive not in view.sources:
            message = f"no source {self.positive!r}"
            yield Problem(("positive",), "unknown-source", message, choices=view.sources)

    def adds(self) -> dict[str, pa.DataType]:
        return {self.column: pa.float32()}


class JsonLines(SourceFormat):
    """One JSON object per line."""

    paths: str | list[str]


class Installed(SourceFormat):
    """Text of this machine."""

    what: Literal["docs", "code"] = "docs"


class ProxyExtension(Extension):
    """Mixes and small training runs."""

    mixes: dict[str, Literal["proportional"] | dict[str, float]] = Field(default_factory=dict)
    proxy: dict[str, int | str] | None = None

    def check(self, view: ManifestView) -> Iterator[Problem]:
        for mix, weights in self.mixes.items():
            for source in weights if isinstance(weights, dict) else ():
                if source not in view.sources:
                    yield Problem(("mixes", mix, source), "unknown-source", f"no source {source!r}")


@pytest.fixture
def registry() -> Registry:
    return Registry(
        {"gopher_quality": GopherQuality, "classify": Classify},
        {"jsonl": JsonLines, "installed": Installed},
        {"proxy": ProxyExtension},
    )
