"""Loads a manifest: one YAML file, the overrides and the environment, checked as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from pipeline.documents import ColumnType
from pipeline.errors import LocatedProblem, ManifestError, Problem
from pipeline.executor import Executor, cpu_count
from pipeline.extension import Extension
from pipeline.manifest.column_checks import added_columns, column_problems
from pipeline.manifest.entries import EntryBuilder
from pipeline.manifest.environment import redact, secrets_in, substitute
from pipeline.manifest.manifest import STORE, Head, Manifest
from pipeline.manifest.overrides import apply_override, override_name, parse_override
from pipeline.manifest.registry import PluginError, Registry
from pipeline.manifest.renamed import renamed_word
from pipeline.manifest.wording import counted, did_you_mean, nearest, show_text
from pipeline.manifest.yaml_file import read_text
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import MapNode, Node, Scalar, SourceText, find, show, to_json


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
    return [*Head.model_fields, "executor", "sources", "steps"]


def extension_fields(extension: type[Extension]) -> list[str]:
    """The top-level keys that an extension takes."""
    return [field.alias or name for name, field in extension.model_fields.items()]


def _read(path: Path) -> SourceText:
    try:
        return read_text(path, "the manifest")
    except OSError as error:
        beside = [f"{path.parent / other.name}" for other in _manifests_beside(path)]
        message = f"cannot read the manifest: {error.strerror}"
        hint = did_you_mean(str(path), beside, "manifests beside it")
        place = SourceText(str(path), "").place(0)
        raise ManifestError([place.problem("unreadable", message, hint)]) from None


def _manifests_beside(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


class _Loader:
    """Collects problems while the entries of one manifest are built."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self.path = path
        self.registry = registry
        self.problems: list[LocatedProblem] = []
        self.extension_types: dict[str, type[Extension]] = {}
        self.broken_extensions: list[PluginError] = []
        self.known = core_fields()
        for name in registry.extension_names:
            try:
                self.extension_types[name] = registry.extension(name)
            except PluginError as error:
                self.broken_extensions.append(error)
            else:
                self.known += extension_fields(self.extension_types[name])

    def load(
        self, overrides: Sequence[str], output: Path | None, environment: Mapping[str, str]
    ) -> Manifest:
        source = _read(self.path)
        tree, problems = read_tree(source)
        self.problems += problems
        root: Node = self.root(tree, source)
        self.add_extensions(cast(MapNode, root))
        for number, text in enumerate(overrides, 1):
            try:
                override = parse_override(number, text)
                root = apply_override(cast(MapNode, root), override, self.known)
            except ManifestError as error:
                self.problems += error.problems
        root = substitute(root, environment, self.problems)
        return self.manifest(cast(MapNode, root), output)

    def add_extensions(self, root: MapNode) -> None:
        """Those that are classes in files; their fields are keys of this manifest."""
        if "extensions" not in root.entries:
            return
        folder = None if self.problems else self.path.resolve().parent
        entries = EntryBuilder(self.registry, folder, self.problems)
        for name, extension in entries.extension_types(root.entries["extensions"]).items():
            self.extension_types[name] = extension
            self.known += extension_fields(extension)

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
            message = f"a manifest must be a mapping, not {show(tree)}"
            self.problems.append(tree.place.problem("wrong-type", message, hint))
        raise ManifestError(self.problems)

    def manifest(self, root: MapNode, output: Path | None) -> Manifest:
        folder = self.path.resolve().parent
        entries = EntryBuilder(self.registry, None if self.problems else folder, self.problems)
        self.unknown(root)
        head = entries.built(Head, _part(root, Head.model_fields), root.place, "the manifest")
        executor = entries.executor(root)
        sources = entries.sources(root)
        steps = entries.steps(root)
        extensions = {}
        for name, extension in self.extension_types.items():
            values = _part(root, extension_fields(extension))
            made = entries.built(extension, values, root.place, "the manifest")
            if made is not None:
                extensions[name] = made
        if self.problems or head is None or executor is None:
            raise ManifestError(self.problems)
        name = head.name or re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).strip("-._") or "run"
        run_folder = output or Path(head.output or f"runs/{name}")
        manifest = Manifest(
            path=self.path,
            folder=folder,
            name=name,
            seed=head.seed,
            output=run_folder,
            store=Path(head.store) if head.store else run_folder.parent / STORE,
            executor=executor,
            gates=head.gates,
            sources=sources,
            steps=steps,
            extensions=extensions,
            warnings=tuple(map(str, _warnings(executor, root))),
            values=cast(dict[str, JsonValue], to_json(root, as_written=True)),
        )
        self.check(manifest, root)
        return manifest

    def unknown(self, root: MapNode) -> None:
        for key, entry in root.entries.items():
            if key not in self.known:
                hint = renamed_word(key, self.known) or did_you_mean(key, self.known, "its fields")
                reasons = [error.message for error in self.broken_extensions]
                notes = "".join(f"; note that {why}" for why in reasons + self.registry.outdated)
                message = f"the manifest has no field {show_text(key)}"
                self.problems.append(entry.place.problem("unknown-field", message, hint + notes))

    def check(self, manifest: Manifest, root: MapNode) -> None:
        """What is wrong beside the fields' types: with files, and with parts that name others.

        Raises ManifestError.
        """
        columns: dict[str, ColumnType] = {}
        for name, source in manifest.sources.items():
            for problem in source.check(manifest.view(())):
                self.located(root, ("sources", name), problem)
        for number, named in enumerate(manifest.steps):
            view = manifest.view(tuple(columns))
            for problem in (*named.step.check(view), *column_problems(named.step, columns)):
                self.located(root, ("steps", number, named.name), problem)
            columns |= added_columns(named.step)
        for extension in manifest.extensions.values():
            for problem in extension.check(manifest.view(tuple(columns))):
                self.located(root, (), problem)
        if self.problems:
            raise ManifestError(self.problems)

    def located(
        self,
        root: MapNode,
        prefix: tuple[str | int, ...],
        problem: Problem,
    ) -> None:
        spot = find(root, root.place, (*prefix, *problem.path))
        key = str(spot.path[-1]) if spot.path else ""
        value = spot.node.text if isinstance(spot.node, Scalar) else ""
        # A path ends at a value; whether that or its key is meant is seen from the message.
        on_key = show_text(key) in problem.message and show_text(value) not in problem.message
        hint, word = problem.hint, key if on_key else value
        if not hint and problem.choices:
            hint = did_you_mean(word, problem.choices, "it may be")
        elif not hint and problem.code.startswith("unknown"):
            hint = nearest(word, _names(root) - {word})
        place = spot.key if on_key or spot.branch is not None else spot.place
        secrets = secrets_in(root, spot.node)
        message = redact(problem.message, secrets)
        self.problems.append(place.problem(problem.code, message, redact(hint, secrets)))


def _part(root: MapNode, keys: Collection[str]) -> MapNode:
    return MapNode(root.place, {k: entry for k, entry in root.entries.items() if k in keys})


def _warnings(executor: Executor, root: MapNode) -> Iterator[LocatedProblem]:
    """What is allowed in a manifest and probably a mistake."""
    workers, processors = executor.workers, cpu_count()
    if workers > 2 * processors:
        spot = find(root, root.place, ("executor", "workers"))
        message = (
            f"{counted(workers, 'worker process')} on {counted(processors, 'processor')}: "
            "they wait for each other, and each needs memory of its own"
        )
        yield spot.place.problem("many-workers", message, "delete it: by default one per processor")


def _names(root: MapNode) -> set[str]:
    """The names that a manifest gives to things: the keys below its top-level keys."""
    named = [
        entry.value.entries for entry in root.entries.values() if isinstance(entry.value, MapNode)
    ]
    return {name for names in named for name in names}
