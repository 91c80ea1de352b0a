"""The JSON Schema of manifests, generated from what is installed, for editors and for CI.

Draft 2020-12. An editor with yaml-language-server shows parameters, their descriptions
and mistakes as one types. What needs the rest of the manifest or the machine (names of sources,
files, the environment) only ``winnow validate`` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from pipeline.manifest.entries import LOCAL, SOURCE_NAME
from pipeline.manifest.loading import extension_fields
from pipeline.manifest.manifest import Head
from pipeline.manifest.registry import PluginError, Registry

M = TypeVar("M", bound=BaseModel)
JsonSchema = dict[str, Any]

_CUSTOM = r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$"
_CUSTOM_WORDS = "A class in a Python file beside the manifest, FILE.py:CLASS"


class _NoTitles(GenerateJsonSchema):
    """Titles of fields only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def manifest_schema(registry: Registry | None = None) -> JsonSchema:
    """The schema for what ``registry`` offers, by default for everything installed.

    What cannot be imported may be named, but its parameters are not described.
    """
    registry = registry or Registry.installed()
    steps = _load(registry.step_names, registry.step)
    formats = _load(registry.format_names, registry.format)
    extensions = [s for s in _load(registry.extension_names, registry.extension).values() if s]
    models: list[type[BaseModel]] = [Head, *extensions]
    executors = _load(registry.executor_names, registry.executor)
    choices = (*steps.values(), *formats.values(), *executors.values())
    models += [model for model in choices if model]
    made = _Definitions(models)
    properties: JsonSchema = dict(made.schema(Head)["properties"])
    properties["executor"] = {
        "description": "Where tasks run.",
        "anyOf": _chosen_by("kind", executors, made, default=LOCAL),
    }
    properties["sources"] = _sources(formats, made)
    properties["steps"] = _steps(steps, made)
    for extension in extensions:
        fields = made.schema(extension).get("properties", {})
        properties.update({key: fields[key] for key in extension_fields(extension)})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "winnow manifest",
        "type": "object",
        "properties": properties,
        "required": ["sources"],
        "additionalProperties": False,
        "$defs": made.reachable(properties),
    }


class _Definitions:
    """The schemas of models, each under the name by which the others refer to it."""

    def __init__(self, models: Sequence[type[BaseModel]]) -> None:
        unique = list(dict.fromkeys(models))
        references, shared = models_json_schema(
            [(model, "validation") for model in unique], schema_generator=_NoTitles
        )
        self._all: JsonSchema = shared.get("$defs", {})
        self._references = {model: references[model, "validation"]["$ref"] for model in unique}

    def reference(self, model: type[BaseModel]) -> JsonSchema:
        return {"$ref": self._references[model]}

    def schema(self, model: type[BaseModel]) -> JsonSchema:
        found: JsonSchema = self._all[self._references[model].rpartition("/")[2]]
        return found

    def reachable(self, start: object) -> JsonSchema:
        """Definitions that ``start`` refers to, directly or through others, by name."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                waiting += node.values()
                name = str(node.get("$ref", "")).removeprefix("#/$defs/")
                if name in self._all and name not in found:
                    found.add(name)
                    waiting.append(self._all[name])
            elif isinstance(node, list):
                waiting += node
        return {name: self._all[name] for name in sorted(found)}


def _load(names: Sequence[str], load: Callable[[str], type[M]]) -> dict[str, type[M] | None]:
    found: dict[str, type[M] | None] = {}
    for name in names:
        try:
            found[name] = load(name)
        except PluginError:
            # Its own error comes when a manifest uses it; here it only lacks a description.
            found[name] = None
    return found


def _chosen_by(
    key: str, kinds: Mapping[str, type[BaseModel] | None], made: _Definitions, default: str = ""
) -> list[JsonSchema]:
    """A mapping whose ``key`` names a class, and whose other keys are that class's fields."""
    choices: list[JsonSchema] = []
    for name, model in kinds.items():
        body: JsonSchema = made.schema(model) if model else {"type": "object"}
        required = [*([key] if name != default else []), *body.get("required", [])]
        choices.append(
            {
                **body,
                "properties": {key: {"const": name}, **body.get("properties", {})},
                **({"required": required} if required else {}),
            }
        )
    custom = {"type": "string", "pattern": _CUSTOM, "description": _CUSTOM_WORDS}
    choices.append(
        {
            "description": _CUSTOM_WORDS,
            "type": "object",
            "properties": {key: custom},
            "required": [key],
        }
    )
    return choices


def _sources(formats: Mapping[str, type[BaseModel] | None], made: _Definitions) -> JsonSchema:
    return {
        "description": "Where documents come from, each under a name of its own.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{SOURCE_NAME}$"},
        "additionalProperties": {"anyOf": _chosen_by("format", formats, made)},
    }


def _steps(steps: Mapping[str, type[BaseModel] | None], made: _Definitions) -> JsonSchema:
    bare: list[JsonSchema] = []
    parameters: JsonSchema = {}
    for name, model in steps.items():
        body: JsonSchema = made.schema(model) if model else {}
        words = {"description": body["description"]} if "description" in body else {}
        reference = made.reference(model) if model else {"type": "object"}
        if body.get("required"):
            parameters[name] = {**reference, **words}
        else:
            bare.append({"const": name, **words})
            parameters[name] = {"anyOf": [reference, {"type": "null"}], **words}
    custom = {"description": _CUSTOM_WORDS}
    return {
        "description": "What happens to documents, in order.",
        "type": ["array", "null"],
        "items": {
            "anyOf": [
                *bare,
                {"type": "string", "pattern": _CUSTOM, **custom},
                {
                    "type": "object",
                    "properties": parameters,
                    "patternProperties": {_CUSTOM: {"type": ["object", "null"], **custom}},
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                },
            ]
        },
    }
