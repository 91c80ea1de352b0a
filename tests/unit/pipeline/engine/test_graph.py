from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import load, small_project

from pipeline.engine.graph import Graph, build_graph
from pipeline.engine.stage import Stage
from pipeline.sources.source import DigestCache, Shard

STEPS = """
  - short.py:Short: {least: 5}
  - exact_dedup
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return small_project(tmp_path)


def shards_of(path: Path) -> list[Shard]:
    manifest = load(path)
    return [
        shard
        for name, source in manifest.sources.items()
        for shard in source.freeze(name, manifest.folder, DigestCache())
    ]


def graph(path: Path, *overrides: str) -> Graph:
    return build_graph(load(path, *overrides), shards_of(path))


def prints(made: Graph) -> dict[str, str]:
    return {stage.name: stage.fingerprint for stage in made.stages}


def folders(made: Graph) -> list[str]:
    return [stage.folder.name for stage in made.stages]


def with_steps(path: Path, steps: str) -> Path:
    text = path.read_text()
    path.write_text(text[: text.index("steps:")] + "steps:" + steps)
    return path


def test_row_steps_in_a_row_share_a_stage(path: Path) -> None:
    made = graph(with_steps(path, STEPS.replace("  - exact", "  - short.py:Short\n  - exact")))
    assert made.stages[0].name == "01-Short+Short_2"
    assert made.stages[0].steps == ("Short", "Short_2")


def test_long_names_are_cut(path: Path) -> None:
    steps = "\n" + "  - short.py:Short\n" * 12
    assert graph(with_steps(path, steps)).stages[0].name == "01-Short+11_more"


def test_order_of_steps_is_part_of_the_recipe(path: Path) -> None:
    one = graph(
        with_steps(path, "\n  - short.py:Short: {least: 1}\n  - short.py:Short: {least: 2}\n")
    )
    two = graph(
        with_steps(path, "\n  - short.py:Short: {least: 2}\n  - short.py:Short: {least: 1}\n")
    )
    assert folders(one)[0] != folders(two)[0]


def test_every_task_has_a_key_that_is_safe_as_a_file_name(path: Path) -> None:
    for stage in graph(path).stages:
        keys = [task.key for task in stage.tasks]
        assert len(set(keys)) == len(keys)
        for key in keys:
            assert "/" not in key
            assert task_is_fingerprinted(stage, key)


def task_is_fingerprinted(stage: Stage, key: str) -> bool:
    return any(task.key == key and len(task.fingerprint) == 64 for task in stage.tasks)


def test_renamed_sources_are_other_sources(path: Path) -> None:
    before = graph(path)
    text = path.read_text()
    path.write_text(
        text.replace("  a: {", "  c: {").replace("  b: {", "  a: {").replace("  c: {", "  b: {")
    )
    swapped = graph(path)
    assert not set(prints(before).values()) & set(prints(swapped).values())


def test_another_digest_of_one_file_changes_its_own_tasks_and_all_conclusions(path: Path) -> None:
    manifest, shards = load(path), shards_of(path)
    name, _ = shards[0].files[0]
    changed = [replace(shards[0], files=((name, "0" * 64),)), *shards[1:]]
    before, after = build_graph(manifest, shards), build_graph(manifest, changed)
    for one, two in zip(before.stages, after.stages, strict=True):
        same = [a.fingerprint == b.fingerprint for a, b in zip(one.tasks, two.tasks, strict=True)]
        shardwise = one.name in ("01-Short", "03-exact_dedup.map")
        assert same == ([False, True, True] if shardwise else [False] * len(same))
        assert (one.folder == two.folder) == shardwise


def test_sources_settings_change_only_their_shards(path: Path) -> None:
    before, after = graph(path), graph(path, "sources.b.max_bad=0.5")
    changed = [
        a.label
        for a, b in zip(before.stages[0].tasks, after.stages[0].tasks, strict=True)
        if a.fingerprint != b.fingerprint
    ]
    assert changed == ["b1.jsonl"]


def test_seed_changes_conclusions_and_not_what_was_read(path: Path) -> None:
    before, after = prints(graph(path)), prints(graph(path, "seed=8"))
    assert {name for name in before if before[name] != after[name]} == {
        "04-exact_dedup.reduce",
        "05-exact_dedup",
    }


def test_environment_does_not_reach_what_is_written_down(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 56."""
    monkeypatch.setenv("WHERE", "a*")
    path.write_text(path.read_text().replace('"a*.jsonl"', '"${env:WHERE}.jsonl"'))
    parameters = graph(path).stages[0].parameters
    assert parameters["sources"]["a"]["paths"] == "${env:WHERE}.jsonl"
