"""Builds the sources, steps and executor of a manifest from its tree, collecting every problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pipeline.errors import LocatedProblem
from pipeline.executor import Executor
from pipeline.extension import Extension
from pipeline.manifest.manifest import NamedStep
from pipeline.manifest.overrides import step_name
from pipeline.manifest.plugin_files import (
    custom_executor,
    custom_extension,
    custom_format,
    custom_step,
    is_custom,
)
from pipeline.manifest.registry import PluginError, Registry, step_labels
from pipeline.manifest.renamed import renamed_word
from pipeline.manifest.validation import build
from pipeline.manifest.wording import did_you_mean, show_text
from pipeline.manifest.yaml_tree import (
    Entry,
    ListNode,
    MapNode,
    Node,
    Place,
    Scalar,
    find,
    must_be,
    show,
)
from pipeline.sources.source import SourceFormat
from pipeline.step import Step

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

LOCAL = "local"  # the executor of manifests that name none
# Sources name folders, mixes and columns of reports.
SOURCE_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


class EntryBuilder:
    """``folder`` is where custom steps are; None when none may run. ``problems`` is added to."""

    def __init__(
        self, registry: Registry, folder: Path | None, problems: list[LocatedProblem]
    ) -> None:
        self.registry = registry
        self.folder = folder
        self.problems = problems

    def report(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self.problems.append(place.problem(code, message, hint))

    def wrong_type(
        self, at: Place, node: Node, subject: str, expected: str, hint: str = ""
    ) -> None:
        spot = find(node, at, ())
        if not spot.broken:
            self.report(spot.place, "wrong-type", must_be(subject, expected, show(node)), hint)

    def built(
        self, model: type[M], values: MapNode, at: Place, what: str, known: Sequence[str] = ()
    ) -> M | None:
        """``validation.build``, with its problems added to ours."""
        made, problems = build(model, values, at, what, known)
        self.problems += problems
        return made

    def executor(self, root: MapNode) -> Executor | None:
        """The executor that the manifest chooses by ``kind``; by default the local one."""
        entry = root.entries.get("executor")
        at = root.place if entry is None else entry.place
        given = MapNode(at, {}) if entry is None else entry.value
        if not isinstance(given, MapNode):
            self.wrong_type(at, given, "executor", "a mapping", "executor: {workers: 2}")
            return None
        fields = dict(given.entries)
        kind = fields.pop("kind", None) or Entry(at, Scalar(at, LOCAL, LOCAL))
        name = kind.value.text if isinstance(kind.value, Scalar) else ""
        load, names = self.registry.executor, self.registry.executor_names
        model = self._found(kind.place, kind.value, name, load, names, custom_executor, "executor")
        if model is None:
            return None
        return self.built(model, MapNode(given.place, fields), at, "executor", ["kind"])

    def sources(self, root: MapNode) -> dict[str, SourceFormat]:
        entry = root.entries.get("sources")
        if entry is None:
            self.report(
                root.place,
                "missing-field",
                "the manifest needs 'sources'",
                "sources: {NAME: {format: jsonl, paths: data/*.jsonl}}",
            )
            return {}
        if not isinstance(entry.value, MapNode) or not entry.value.entries:
            self.wrong_type(entry.place, entry.value, "sources", "a mapping with at least one")
            return {}
        made = {name: self._source(name, item) for name, item in entry.value.entries.items()}
        return {name: source for name, source in made.items() if source is not None}

    def _source(self, name: str, entry: Entry) -> SourceFormat | None:
        if not re.fullmatch(SOURCE_NAME, name):
            self.report(
                entry.place,
                "bad-name",
                f"{show_text(name)} cannot name a source",
                "letters, digits, - and _, at most 64",
            )
        if not isinstance(entry.value, MapNode):
            self.wrong_type(entry.place, entry.value, f"source {name}", "a mapping with 'format'")
            return None
        fields = dict(entry.value.entries)
        chosen = fields.pop("format", None)
        if chosen is None:
            self.report(
                entry.place,
                "missing-field",
                f"source {name} needs 'format'",
                f"formats: {', '.join(self.registry.format_names)}",
            )
            return None
        model = self._format_type(chosen)
        if model is None:
            return None
        values = MapNode(entry.value.place, fields)
        return self.built(model, values, entry.place, f"source {name}", ["format"])

    def steps(self, root: MapNode) -> tuple[NamedStep, ...]:
        entry = root.entries.get("steps")
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
            return ()
        if not isinstance(entry.value, ListNode):
            self.wrong_type(entry.place, entry.value, "steps", "a list")
            return ()
        items = entry.value.items
        labels = step_labels(map(step_name, items))
        made = [self._step(item, label) for item, label in zip(items, labels, strict=True)]
        return tuple(named for named in made if named is not None)

    def _step(self, item: Node, label: str) -> NamedStep | None:
        name = step_name(item)
        if not name:
            hint = ""
            if isinstance(item, MapNode) and item.entries:
                first = next(iter(item.entries))
                hint = f"indent the parameters of {first} deeper than its name"
            self.wrong_type(item.place, item, "a step", "NAME or NAME: {parameters}", hint)
            return None
        if isinstance(item, MapNode):
            at, parameters = item.entries[name].place, item.entries[name].value
            chosen = Scalar(at, name, name)
        else:
            assert isinstance(item, Scalar)
            at, parameters, chosen = item.place, Scalar(item.place), item
        model = self._step_type(chosen, name)
        if isinstance(parameters, Scalar) and parameters.value is None and not parameters.broken:
            parameters = MapNode(at, {})
        if not isinstance(parameters, MapNode):
            self.wrong_type(at, parameters, f"what follows {label}", "a mapping of its parameters")
            return None
        if model is None:
            return None
        step = self.built(model, parameters, at, label)
        return NamedStep(name, step, label) if step is not None else None

    def _format_type(self, chosen: Entry) -> type[SourceFormat] | None:
        name = chosen.value.text if isinstance(chosen.value, Scalar) else ""
        load, names = self.registry.format, self.registry.format_names
        return self._found(chosen.place, chosen.value, name, load, names, custom_format, "format")

    def _step_type(self, chosen: Scalar, name: str) -> type[Step] | None:
        load, names = self.registry.step, self.registry.step_names
        return self._found(chosen.place, chosen, name, load, names, custom_step, "step")

    def extension_types(self, entry: Entry) -> dict[str, type[Extension]]:
        """The extensions in files that the manifest lists, by what it calls them."""
        if not isinstance(entry.value, ListNode):
            self.wrong_type(entry.place, entry.value, "extensions", "a list of FILE.py:CLASS")
            return {}
        found = {}
        for node in entry.value.items:
            name = node.text if isinstance(node, Scalar) else ""
            model = self._found(
                node.place, node, name, self.registry.extension, [], custom_extension, "extension"
            )
            if model is not None:
                found[name] = model
        return found

    def _found(
        self,
        at: Place,
        node: Node,
        name: str,
        load: Callable[[str], type[M]],
        names: Sequence[str],
        custom: Callable[[str, Path], type[M]],
        what: str,
    ) -> type[M] | None:
        """An installed class by its name, or one of a file beside the manifest."""
        if not is_custom(name):
            return self._chosen(at, node, load, names, what)
        folder = self.folder
        if folder is None:
            return None
        return self._chosen(at, node, lambda given: custom(given, folder), [name], what)

    def _chosen(
        self, at: Place, node: Node, load: Callable[[str], T], names: Sequence[str], what: str
    ) -> T | None:
        """What ``load`` gives for the name that ``node`` holds."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self.wrong_type(at, node, f"the {what}", "a name")
            return None
        if node.broken:
            return None
        if node.value not in names:
            hint = renamed_word(node.text, names) or did_you_mean(node.text, names, f"{what}s")
            self.report(
                node.place, f"unknown-{what}", f"there is no {what} {show_text(node.text)}", hint
            )
            return None
        try:
            return load(node.value)
        except PluginError as error:
            self.report(node.place, error.code, error.message, error.hint)
            return None
