"""Fault 33: tags construct nothing; unknown fields are refused with the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import LocatedProblem, ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import RowStep


class Lines(SourceFormat):
    paths: str = ""


class Quality(RowStep):
    min_stop_words: int = 2


REGISTRY = Registry({"gopher_quality": Quality}, {"jsonl": Lines}, {})


def problems(text: str, folder: Path) -> list[LocatedProblem]:
    path = folder / "m.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=REGISTRY)
    assert caught.value.exit_code == 2
    return caught.value.problems


@pytest.mark.parametrize(
    "tagged",
    [
        "!!python/object/apply:os.system ['touch {ran}']",
        "!!python/object/new:os.system ['touch {ran}']",
        "!!python/name:os.system",
        "!<tag:yaml.org,2002:python/module:os> ''",
        "!!str 3",
        "!env HOME",
        "! plain",
    ],
)
def test_a_tag_is_refused_and_nothing_is_constructed(tagged: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    text = f"sources: {{a: {{format: jsonl}}}}\nname: {tagged.format(ran=ran)}\n"
    (found,) = problems(text, tmp_path)
    assert (found.code, found.line, found.column) == ("tag", 2, 7)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("text", "line", "column", "meant"),
    [
        ("sources: {a: {format: jsonl}}\nsead: 1", 2, 1, "seed"),
        ("sources: {a: {format: jsonl, path: x}}", 1, 30, "paths"),
        ("sources: {a: {format: jsonl, Paths: x}}", 1, 30, "paths"),
        ("sources: {a: {format: json}}", 1, 23, "jsonl"),
        ("sources: {a: {format: jsonl}}\nsteps: [gopher_qualty]", 2, 9, "gopher_quality"),
        ("sources: {a: {format: jsonl}}\nsteps: [{gopher_quality: {min_stopword: 1}}]", 2, 27,
         "min_stop_words"),
        ("sources: {a: {format: jsonl}}\nexecutor: {wokers: 1}", 2, 12, "workers"),
        ("sources: {a: {format: jsonl}}\ngates: {uniqueid: true}", 2, 9, "unique_id"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_nearest_known_one(
    text: str, line: int, column: int, meant: str, tmp_path: Path
) -> None:
    (found,) = problems(text, tmp_path)
    assert (found.line, found.column) == (line, column)
    assert found.hint == f"did you mean '{meant}'?"


def test_every_problem_is_said_at_once_in_file_order(tmp_path: Path) -> None:
    found = problems(
        "sead: 1\nsources: {a: {format: jsonl, path: x}}\nsteps:\n  - gopher_qualty\n"
        "  - gopher_quality: {min_stop_words: few, x: 1}\nname: !x y\n",
        tmp_path,
    )
    assert [p.line for p in found] == [1, 2, 4, 5, 5, 6]
