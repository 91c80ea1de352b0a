"""The manifest: what one YAML file, the overrides and the environment say, checked as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.errors import LocatedProblem, ManifestError, Problem, Refusal
from pipeline.extension import Extension
from pipeline.manifest.environment import substitute
from pipeline.manifest.located import find, redact, secrets_in, show
from pipeline.manifest.overrides import apply_override, override_name, parse_override
from pipeline.manifest.parts import NamedStep, Parts
from pipeline.manifest.registry import PluginError, Registry
from pipeline.manifest.wording import did_you_mean, nearest, show_text
from pipeline.manifest.yaml_tree import (
    MAX_BYTES,
    MapNode,
    Node,
    Scalar,
    SourceText,
    read_tree,
    to_json,
)
from pipeline.sources.source import SourceFormat
from pipeline.step import ManifestView

STORE = ".store"  # hidden, so that globs over runs find each document once
_STRICT = ConfigDict(frozen=True, extra="forbid")


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ExecutorSpec(BaseModel):
    """Where tasks run."""

    model_config = _STRICT

    kind: Literal["local"] = Field(
        default="local", description="`local` runs worker processes on this machine."
    )
    workers: int = Field(
        default_factory=cpu_count,
        ge=1,
        le=1024,
        description="Worker processes; by default one per processor.",
    )


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
    executor: ExecutorSpec = Field(default_factory=ExecutorSpec)
    gates: Gates = Field(default_factory=Gates)


@dataclass(frozen=True)
class Manifest:
    """A manifest without errors.

    ``folder`` is where relative input paths start; ``output`` and ``store`` are relative to the
    current directory, or absolute. ``values`` is what was written (overrides included,
    ``--output`` and defaults not), with ``${env:NAME}`` in place of what the environment holds.
    """

    path: Path
    folder: Path
    name: str
    seed: int
    output: Path
    store: Path
    executor: ExecutorSpec
    gates: Gates
    sources: Mapping[str, SourceFormat]
    steps: tuple[NamedStep, ...]
    extensions: Mapping[str, Extension]
    values: dict[str, JsonValue]

    def view(self, columns: Sequence[str] = ()) -> ManifestView:
        """What steps and extensions may know; ``columns`` are those that earlier steps added."""
        return ManifestView(self.folder, self.seed, tuple(self.sources), tuple(columns))

    def until(self, label: str) -> Manifest:
        """The same manifest up to and with the step of this label, and without extensions: its
        stages are those of the whole one. Raises Refusal when there is no such step."""
        labels = [named.label for named in self.steps]
        if label not in labels:
            hint = f"its steps: {', '.join(labels)}" if labels else "it has no steps"
            raise Refusal("unknown-step", f"{self.path} has no step {show_text(label)}", hint)
        return replace(self, steps=self.steps[: labels.index(label) + 1], extensions={})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that all steps together add, in order."""
        return tuple(dict.fromkeys(name for named in self.steps for name in named.step.adds()))


def load_manifest(
    path: Path,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    *,
    registry: Registry | None = None,
    environment: Mapping[str, str] | None = None,
) -> Manifest:
    """Read, override, substitute, validate and check. Raises ManifestError with every problem.

    ``registry`` replaces what is installed and ``environment`` replaces ``os.environ``. Files with
    custom steps run only when the YAML itself has no error.
    """
    given = os.environ if environment is None else environment
    loader = _Loader(path, registry or Registry.installed())
    try:
        return loader.load(overrides, output, given)
    except ManifestError as error:
        order = {override_name(n): n for n in range(1, len(overrides) + 1)}
        raise ManifestError(
            sorted(error.problems, key=lambda p: (order.get(p.file, 0), p.line, p.column))
        ) from None


def core_fields() -> list[str]:
    """The top-level keys of every manifest."""
    return [*Head.model_fields, "sources", "steps"]


def extension_fields(extension: type[Extension]) -> list[str]:
    """The top-level keys that an extension takes."""
    return [field.alias or name for name, field in extension.model_fields.items()]


def _read(path: Path) -> SourceText:
    def wrong(code: str, message: str, hint: str = "") -> ManifestError:
        return ManifestError([SourceText(str(path), "").place(0).problem(code, message, hint)])

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        beside = [f"{path.parent / other.name}" for other in _manifests_beside(path)]
        raise wrong(
            "unreadable",
            f"cannot read the manifest: {error.strerror}",
            did_you_mean(str(path), beside, "manifests beside it"),
        ) from None
    if len(raw) > MAX_BYTES:
        raise wrong("too-large", f"larger than {MAX_BYTES:,} bytes", "is this the manifest?")
    try:
        return SourceText(str(path), raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise wrong(
            "not-utf8", f"not UTF-8 at byte {error.start}, line {line}", "save the file as UTF-8"
        ) from None


def _manifests_beside(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


class _Loader:
    """Collects problems while the parts of one manifest are built."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self.path = path
        self.registry = registry
        self.problems: list[LocatedProblem] = []
        self.extension_types: dict[str, type[Extension]] = {}
        self.broken_sections: list[PluginError] = []
        self.known = core_fields()
        for name in registry.extension_names:
            try:
                self.extension_types[name] = registry.extension(name)
            except PluginError as error:
                self.broken_sections.append(error)
            else:
                self.known += extension_fields(self.extension_types[name])

    def load(
        self, overrides: Sequence[str], output: Path | None, environment: Mapping[str, str]
    ) -> Manifest:
        source = _read(self.path)
        tree, problems = read_tree(source)
        self.problems += problems
        root: Node = self.root(tree, source)
        for number, text in enumerate(overrides, 1):
            try:
                override = parse_override(number, text)
                root = apply_override(cast(MapNode, root), override, self.known)
            except ManifestError as error:
                self.problems += error.problems
        root = substitute(root, environment, self.problems)
        return self.manifest(cast(MapNode, root), output)

    def root(self, tree: Node | None, source: SourceText) -> MapNode:
        """The tree as a mapping; raises when there is none to go on with."""
        if isinstance(tree, MapNode):
            return tree
        hint = "begin with sources: and steps:"
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            if not self.problems:
                problem = source.place(0).problem("empty", "the manifest is empty", hint)
                self.problems.append(problem)
        else:
            message = f"a manifest is a mapping, not {show(tree)}"
            self.problems.append(tree.place.problem("wrong-type", message, hint))
        raise ManifestError(self.problems)

    def manifest(self, root: MapNode, output: Path | None) -> Manifest:
        folder = self.path.resolve().parent
        parts = Parts(self.registry, None if self.problems else folder, self.problems)
        self.unknown(root)
        head = parts.built(Head, _part(root, Head.model_fields), root.place, "the manifest")
        sources = parts.sources(root)
        steps = parts.steps(root)
        extensions = {}
        for name, extension in self.extension_types.items():
            values = _part(root, extension_fields(extension))
            made = parts.built(extension, values, root.place, "the manifest")
            if made is not None:
                extensions[name] = made
        if self.problems or head is None:
            raise ManifestError(self.problems)
        name = head.name or re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).strip("-._") or "run"
        folder_of_run = output or Path(head.output or f"runs/{name}")
        manifest = Manifest(
            path=self.path,
            folder=folder,
            name=name,
            seed=head.seed,
            output=folder_of_run,
            store=Path(head.store) if head.store else folder_of_run.parent / STORE,
            executor=head.executor,
            gates=head.gates,
            sources=sources,
            steps=steps,
            extensions=extensions,
            values=cast(dict[str, JsonValue], to_json(root, as_written=True)),
        )
        self.check(manifest, root)
        return manifest

    def unknown(self, root: MapNode) -> None:
        for key, entry in root.entries.items():
            if key not in self.known:
                hint = did_you_mean(key, self.known, "its fields")
                notes = "".join(f"; note that {error.message}" for error in self.broken_sections)
                message = f"the manifest has no field {show_text(key)}"
                self.problems.append(entry.place.problem("unknown-field", message, hint + notes))

    def check(self, manifest: Manifest, root: MapNode) -> None:
        """What is wrong with steps and extensions beside the rest. Raises ManifestError."""
        columns: list[str] = []
        secrets = secrets_in(root)
        for number, named in enumerate(manifest.steps):
            for problem in named.step.check(manifest.view(columns)):
                self.located(root, ("steps", number, named.name), problem, secrets)
            columns += [name for name in named.step.adds() if name not in columns]
        for extension in manifest.extensions.values():
            for problem in extension.check(manifest.view(columns)):
                self.located(root, (), problem, secrets)
        if self.problems:
            raise ManifestError(self.problems)

    def located(
        self,
        root: MapNode,
        prefix: tuple[str | int, ...],
        problem: Problem,
        secrets: Mapping[str, str],
    ) -> None:
        spot = find(root, root.place, (*prefix, *problem.path))
        key = str(spot.path[-1]) if spot.path else ""
        value = spot.node.text if isinstance(spot.node, Scalar) else ""
        # A path ends at a value; the message tells whether that or its key is meant.
        on_key = show_text(key) in problem.message and show_text(value) not in problem.message
        hint = problem.hint
        if not hint and problem.code.startswith("unknown"):
            word = key if on_key else value
            hint = nearest(word, _names(root) - {word})
        place = spot.key if on_key or spot.branch is not None else spot.place
        message = redact(problem.message, secrets)
        self.problems.append(place.problem(problem.code, message, redact(hint, secrets)))


def _part(root: MapNode, keys: Collection[str]) -> MapNode:
    return MapNode(root.place, {k: entry for k, entry in root.entries.items() if k in keys})


def _names(root: MapNode) -> set[str]:
    """The names that a manifest gives to things: the keys below its top-level keys."""
    named = [
        entry.value.entries for entry in root.entries.values() if isinstance(entry.value, MapNode)
    ]
    return {name for names in named for name in names}
