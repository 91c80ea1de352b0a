"""What a manifest holds once it is read and found to be without errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.errors import Refusal
from pipeline.executor import Executor
from pipeline.extension import Extension
from pipeline.manifest.wording import show_text
from pipeline.sources.source import SourceFormat
from pipeline.step import ManifestView, Step

STORE = ".store"  # hidden, so that globs over runs find each document once
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Gates(BaseModel):
    """Conditions under which a run counts as failed although every shard is done."""

    model_config = _STRICT

    unique_id: bool = Field(default=False, description="Fail when two documents share an id.")
    allow_empty: bool = Field(default=False, description="Accept that no document is left.")
    max_failed_shards: int = Field(
        default=0,
        ge=0,
        description="Go on without shards that failed while there are no more of them than this.",
    )


PluginFile = Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$")]


class Head(BaseModel):
    """The keys of a manifest that do not depend on what is installed."""

    model_config = _STRICT

    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Name of the run; by default the file's.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of everything random.")
    output: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of the results, from the current directory; by default runs/NAME.",
    )
    store: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of what was computed, shared by all runs that name it, from the "
        "current directory; by default .store beside the output.",
    )
    gates: Gates = Field(default_factory=Gates)
    extensions: tuple[PluginFile, ...] = Field(
        default=(), description="Extensions in files beside the manifest, as `my.py:Class`."
    )


@dataclass(frozen=True)
class NamedStep:
    """``name`` as the manifest has it; ``label`` is unique and safe as a folder name."""

    name: str
    step: Step
    label: str


@dataclass(frozen=True)
class Manifest:
    """A manifest without errors.

    ``folder`` is where relative input paths start; ``output`` and ``store`` are relative to the
    current directory, or absolute. ``values`` is what was written (overrides included,
    ``--output`` and defaults not), with ``${env:NAME}`` in place of what the environment holds.
    ``warnings`` are located, and for whoever runs it. ``headline`` is how the report names the
    documents that the steps leave.
    """

    path: Path
    folder: Path
    name: str
    seed: int
    output: Path
    store: Path
    executor: Executor
    gates: Gates
    sources: Mapping[str, SourceFormat]
    steps: tuple[NamedStep, ...]
    extensions: Mapping[str, Extension]
    values: dict[str, JsonValue]
    warnings: tuple[str, ...] = ()
    headline: str = "Kept"

    def view(self, columns: Sequence[str] = ()) -> ManifestView:
        """What steps and extensions may know; ``columns`` are those that earlier steps added."""
        return ManifestView(self.folder, self.seed, tuple(self.sources), tuple(columns))

    def until(self, step: str) -> Manifest:
        """The same manifest up to and with a step, and without extensions: its stages are those of
        the whole one. ``step`` is what the manifest calls it, or its label.

        Raises Refusal when there is no such step, or more than one.
        """
        found = [n for n, named in enumerate(self.steps) if step in (named.label, named.name)]
        exact = [n for n in found if self.steps[n].label == step]
        if len(exact or found) != 1:
            names = [named.name for named in self.steps]
            shown = [s.label if names.count(s.name) > 1 else s.name for s in self.steps]
            message = f"{self.path} has {'several steps' if found else 'no step'} {show_text(step)}"
            hint = f"its steps: {', '.join(shown)}" if shown else "it has no steps"
            raise Refusal("ambiguous-step" if found else "unknown-step", message, hint)
        (last,) = exact or found
        return replace(self, steps=self.steps[: last + 1], extensions={})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that all steps together add, in order."""
        return tuple(dict.fromkeys(name for named in self.steps for name in named.step.adds()))
