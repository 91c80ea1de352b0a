"""Edits that change no meaning change no fingerprint, whatever they are and however many."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import load, small_project

from pipeline.engine.graph import build_graph

MANIFEST = """\
name: small
seed: 7
output: out
sources:
  a: {format: jsonl, paths: "a*.jsonl"}
  b:
    format: jsonl
    paths: "b*.jsonl"
    allow_empty: true
steps:
  - short.py:Short: {least: 5}
  - gopher_quality: {min_doc_words: 1, min_stop_words: 0}
  - exact_dedup
  - minhash_dedup: {ngram: 3, jaccard: 0.8}
mixes:
  half: {a: 0.5, b: 0.5}
"""
Edit = Callable[[str], str]
OF_THE_MANIFEST: dict[str, Edit] = {
    "comment at the end": lambda text: text + "# the end\n",
    "comment at the top": lambda text: "# a manifest\n" + text,
    "comment behind a value": lambda text: text.replace("seed: 7", "seed: 7  # of everything"),
    "blank lines": lambda text: text.replace("\nsteps:", "\n\n\nsteps:"),
    "spaces": lambda text: text.replace("seed: 7", "seed:    7"),
    "indentation": lambda text: (
        text.replace("\n    format", "\n        format")
        .replace("\n    paths", "\n        paths")
        .replace("\n    allow", "\n        allow")
    ),
    "block for flow": lambda text: text.replace(
        '  a: {format: jsonl, paths: "a*.jsonl"}',
        '  a:\n    format: jsonl\n    paths: "a*.jsonl"',
    ),
    "quotes": lambda text: text.replace('"a*.jsonl"', "'a*.jsonl'"),
    "another order of parameters": lambda text: text.replace(
        "{ngram: 3, jaccard: 0.8}", "{jaccard: 0.8, ngram: 3}"
    ),
    "another order of keys": lambda text: text.replace(
        "name: small\nseed: 7", "seed: 7\nname: small"
    ),
    "a default written out": lambda text: text.replace("- exact_dedup", "- exact_dedup: {}"),
    "another way to write a number": lambda text: text.replace("jaccard: 0.8", "jaccard: 0.80"),
    "a list of one": lambda text: text.replace('"b*.jsonl"', '["b*.jsonl"]'),
    "another name": lambda text: re.sub("name: small", "name: other", text),
    "another output": lambda text: text.replace("output: out", "output: elsewhere"),
}
OF_THE_CODE: dict[str, Edit] = {
    "docstring": lambda code: code.replace("Drop short texts.", "Drop texts that are short."),
    "no docstring": lambda code: code.replace('    """Drop short texts."""\n\n', ""),
    "comment": lambda code: code.replace("least: int = 5", "least: int = 5  # characters"),
    "blank lines": lambda code: code.replace("\n\n\nclass", "\n\n\n\n\nclass"),
    "line breaks": lambda code: code.replace(
        "FilterResult(keep", "FilterResult(\n            keep"
    ),
    "quotes": lambda code: code.replace('"short"', "'short'"),
}
MEANT: dict[str, Edit] = {
    "a parameter": lambda text: text.replace("least: 5", "least: 6"),
    "a parameter of a global step": lambda text: text.replace("ngram: 3", "ngram: 4"),
    "a field of a source": lambda text: (
        text.replace("allow_empty", "max_row_bytes: 999, allow_empty")
        if '{format: jsonl, paths: "b' in text
        else text.replace("    allow_empty", "    max_row_bytes: 999\n    allow_empty")
    ),
    "an order of steps": lambda text: text.replace(
        "  - exact_dedup\n  - minhash_dedup: {ngram: 3, jaccard: 0.8}\n",
        "  - minhash_dedup: {ngram: 3, jaccard: 0.8}\n  - exact_dedup\n",
    ),
    "a weight": lambda text: text.replace("a: 0.5, b: 0.5", "a: 0.6, b: 0.4"),
}


def made_from(path: Path) -> dict[str, object]:
    """All that fingerprints are made of, by stage and task."""
    manifest = load(path)
    shards = [
        shard
        for name, source in manifest.sources.items()
        for shard in source.freeze(name, manifest.folder)
    ]
    stages = build_graph(manifest, shards).stages
    found: dict[str, object] = {
        stage.name: [
            stage.recipe,
            [[task.key, dict(task.inputs), dict(task.parameters)] for task in stage.tasks],
        ]
        for stage in stages
    }
    found["order"] = [stage.name for stage in stages]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_project(tmp_path_factory.mktemp("reuse"), MANIFEST)


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, object]:
    return made_from(project)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from(sorted(OF_THE_MANIFEST)), unique=True, max_size=6),
    st.lists(st.sampled_from(sorted(OF_THE_CODE)), unique=True, max_size=4),
)
def test_layout_and_wording_change_no_fingerprint(
    project: Path, before: dict[str, object], of_manifest: list[str], of_code: list[str]
) -> None:
    code = project.parent / "short.py"
    text, source = project.read_text(), code.read_text()
    edited, recoded = text, source
    for name in of_manifest:
        edited = OF_THE_MANIFEST[name](edited)
    for name in of_code:
        recoded = OF_THE_CODE[name](recoded)
    try:
        project.write_text(edited)
        code.write_text(recoded)
        assert made_from(project) == before
    finally:
        project.write_text(text)
        code.write_text(source)


@pytest.mark.parametrize("name", [*OF_THE_MANIFEST])
def test_every_edit_of_layout_is_one(name: str) -> None:
    assert OF_THE_MANIFEST[name](MANIFEST) != MANIFEST


@pytest.mark.parametrize("name", sorted(MEANT))
def test_meaning_changes_fingerprints(project: Path, before: dict[str, object], name: str) -> None:
    text = project.read_text()
    try:
        project.write_text(MEANT[name](text))
        assert made_from(project) != before
    finally:
        project.write_text(text)
