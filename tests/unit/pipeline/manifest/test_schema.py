"""The JSON Schema: valid itself, and of one mind with ``load_manifest``."""

from __future__ import annotations

import copy
import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.errors import ManifestError
from pipeline.manifest.loading import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.manifest.schema import manifest_schema
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import SourceText, to_json

GOOD: dict[str, Any] = {
    "name": "web",
    "seed": 17,
    "output": "runs/web",
    "executor": {"kind": "local", "workers": 2},
    "gates": {"unique_id": True},
    "sources": {
        "web": {"format": "jsonl", "paths": "data/*.jsonl", "max_bad": 0.5},
        "docs": {"format": "installed", "what": "code"},
    },
    "steps": [
        "gopher_quality",
        {"gopher_quality": {"min_stop_words": 3, "stop_words": ["a"], "strict": True}},
        {"gopher_quality": None},
        {"classify": {"positive": "docs"}},
    ],
    "mixes": {"natural": "proportional", "half": {"web": 0.5}},
    "proxy": {"seeds": 3},
}


def loads(data: object, folder: Path, registry: Registry) -> bool:
    path = folder / "m.yaml"
    path.write_text(json.dumps(data))  # ASCII JSON is YAML
    try:
        load_manifest(path, registry=registry, environment={})
    except ManifestError:
        return False
    return True


def test_the_schema_is_valid_and_closed(registry: Registry) -> None:
    schema = manifest_schema(registry)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert {"sources", "steps", "mixes", "proxy", "executor"} <= set(schema["properties"])


def test_it_describes_steps_and_parameters(registry: Registry) -> None:
    schema = manifest_schema(registry)
    text = json.dumps(schema)
    assert "Word counts of web text." in text
    assert "Different stop words needed." in text
    assert json.dumps(manifest_schema(registry)) == text


def test_it_holds_no_definition_that_nothing_refers_to(registry: Registry) -> None:
    schema = manifest_schema(registry)
    text = json.dumps(schema)
    for name in schema["$defs"]:
        assert f'"#/$defs/{name}"' in text


def test_a_good_manifest_passes_both(registry: Registry, tmp_path: Path) -> None:
    assert not list(Draft202012Validator(manifest_schema(registry)).iter_errors(GOOD))
    assert loads(GOOD, tmp_path, registry)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": {}}, {"sources": {"w": {"format": "json", "paths": "x"}}},
        {"sources": {"w": {"paths": "x"}}}, {"sources": {"w": {"format": "jsonl"}}},
        {"sources": {"a b": {"format": "jsonl", "paths": "x"}}}, {"steps": ["classify"]},
        {"steps": ["gopher"]}, {"steps": [{"gopher_quality": {"min": 1}}]}, {"steps": "x"},
        {"steps": [{"gopher_quality": None, "classify": None}]}, {"steps": [{}]}, {"seed": "1"},
        {"seed": -1}, {"nmae": "x"}, {"name": "a/b"}, {"executor": {"kind": "slurm"}},
        {"executor": {"workers": 0}}, {"gates": None}, {"mixes": {"m": "half"}},
    ],
)  # fmt: skip
def test_a_wrong_manifest_fails_both(
    change: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    data = {**GOOD, **change}
    assert list(Draft202012Validator(manifest_schema(registry)).iter_errors(data))
    assert not loads(data, tmp_path, registry)


SHIPPED = sorted((Path(__file__).parents[4] / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_manifests_fit_the_installed_schema(path: Path) -> None:
    tree, problems = read_tree(SourceText(path.name, path.read_text()))
    assert tree is not None
    assert not problems
    validator = Draft202012Validator(manifest_schema())
    assert [error.message for error in validator.iter_errors(to_json(tree))] == []


def test_custom_steps_are_allowed_by_form(registry: Registry) -> None:
    validator = Draft202012Validator(manifest_schema(registry))
    for step in ("my.py:A", {"my.py:A": {"x": 1}}, {"my.py:A": None}):
        assert validator.is_valid({**GOOD, "steps": [step]})
    for step in ("my.py", "my.py:", {"my.py:A": 3}):
        assert not validator.is_valid({**GOOD, "steps": [step]})


def test_what_cannot_be_imported_may_be_named() -> None:
    broken = [EntryPoint("it", "no_such_module:X", "winnow.steps")]
    schema = manifest_schema(Registry({"it": broken}, {"f": broken}, {"s": broken}))
    data = {"sources": {"a": {"format": "f", "x": 1}}, "steps": ["it", {"it": {"p": 1}}]}
    assert Draft202012Validator(schema).is_valid(data)


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [path, *(found for key in keys for found in places(node[key], (*path, key)))]


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**40), st.sampled_from([0.5, 2.5, -0.1]),
    st.sampled_from(["", "x", "no", "3", "jsonl", "proportional", "docs", "quality2"]),
    st.just([]), st.just({}), st.just(["a", 3]), st.just({"web": 0.5}), st.just({"zz": 1}),
)  # fmt: skip
# What the schema cannot know: names that must agree with other parts of the manifest.
BESIDE = (("sources",), ("steps", 3, "classify"), ("mixes",))


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loader_and_schema_agree_on_mutations(
    data: st.DataObject, registry: Registry, tmp_path: Path
) -> None:
    changed = copy.deepcopy(GOOD)
    path = data.draw(st.sampled_from(places(GOOD)[1:]))
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    kind = data.draw(st.sampled_from(["replace", "delete", "add"]))
    if kind == "replace":
        node[path[-1]] = data.draw(LEAVES)
    elif kind == "delete":
        del node[path[-1]]
    elif isinstance(node, dict):
        node["extra"] = data.draw(LEAVES)
    valid = Draft202012Validator(manifest_schema(registry)).is_valid(changed)
    loaded = loads(changed, tmp_path, registry)
    if any(path[: len(prefix)] == prefix for prefix in BESIDE):
        assert valid or not loaded
    else:
        assert valid == loaded
