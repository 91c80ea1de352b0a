from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.manifest.reference import reference_page, undocumented
from pipeline.manifest.schema import manifest_schema

STEP = {
    "description": "Drop things.\n\nThe ``first`` stays.",
    "type": "object",
    "properties": {
        "least": {"type": "integer", "minimum": 1, "default": 5, "description": "a | b"},
        "side": {"enum": ["left", "right"], "description": "which"},
        "bare": {"type": "string"},
    },
    "required": ["side"],
}
SCHEMA = {
    "properties": {
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "who"},
        "part": {"$ref": "#/$defs/Part"},
        "executor": {
            "description": "where tasks run",
            "anyOf": [{"properties": {"kind": {"const": "here"}, "workers": {"type": "integer"}}}],
        },
        "sources": {
            "description": "where from",
            "additionalProperties": {
                "anyOf": [
                    {
                        "properties": {
                            "format": {"const": "lines"},
                            "paths": {
                                "type": "array",
                                "items": {"type": "string"},
                                "description": "files",
                            },
                        }
                    }
                ]
            },
        },
        "steps": {
            "description": "what happens",
            "items": {
                "anyOf": [
                    {"const": "drop"},
                    {"type": "object", "properties": {"drop": {"$ref": "#/$defs/Drop"}}},
                ]
            },
        },
    },
    "$defs": {"Drop": STEP, "Part": {"type": "object", "description": "A part."}},
}


SHORT = {
    "anyOf": [
        {"type": "number"},
        {"description": "Or long.", "properties": {"weight": {"type": "number"}}},
    ]
}


@pytest.fixture(scope="module")
def page() -> str:
    return reference_page(SCHEMA)


def test_every_kind_of_key_has_its_place(page: str) -> None:
    heads = [line for line in page.splitlines() if line.startswith("##")]
    assert heads == [
        "## Top-level keys",
        "## Sources",
        "### `format: lines`",
        "## Steps",
        "### `drop`",
        "## Executors",
        "### `kind: here`",
        "## Parts",
        "### `Part`",
    ]


def test_bounds_defaults_and_meaning_are_stated(page: str) -> None:
    assert "| `least` | integer ≥ 1 | `5` | a \\| b |" in page
    assert '| `side` | `"left"` or `"right"` | required | which |' in page
    assert "| `paths` | list of string |  | files |" in page
    assert "| `part` | [Part](#part) |  |  |" in page


def test_docstrings_are_shown_as_markdown(page: str) -> None:
    assert "The `first` stays." in page


def test_undocumented_fields_are_found() -> None:
    assert undocumented(SCHEMA) == ["Drop.bare", "here.workers"]


def test_every_setting_of_winnow_is_documented() -> None:
    assert undocumented(manifest_schema()) == []


def test_committed_page_is_the_generated_one(root: Path) -> None:
    committed = (root / "docs" / "reference.md").read_text()
    assert committed == reference_page(manifest_schema()), "run: make schemas"


def test_committed_schema_is_the_generated_one(root: Path) -> None:
    import json

    committed = json.loads((root / "manifests" / "schema.json").read_text())
    assert committed == json.loads(json.dumps(manifest_schema())), "run: make schemas"


def test_what_can_be_written_short_is_described_in_its_long_form() -> None:
    schema = {**SCHEMA, "$defs": {**SCHEMA["$defs"], "Share": SHORT}}
    page = reference_page(schema)
    assert "### `Share`\n\nOr long.\n\n| key |" in page
    assert "| `weight` | number |" in page
    assert "Share.weight" in undocumented(schema)
