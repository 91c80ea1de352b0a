from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import load, small_project

from pipeline.engine.graph import SETTINGS, Graph, build_graph
from pipeline.engine.stage import Stage, TaskContext, TaskResult
from pipeline.sources.source import Shard

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
        for shard in source.freeze(name, manifest.folder)
    ]


def graph(path: Path, *overrides: str) -> Graph:
    return build_graph(load(path, *overrides), shards_of(path))


def read_tasks(made: Graph) -> dict[str, str]:
    """Fingerprints of the tasks that read the sources, by file."""
    first = made.stages[0]
    found = {}
    for place, task in enumerate(first.tasks):
        ready = first.resolve(task, place)
        assert ready is not None
        found[task.label] = ready.fingerprint
    return found


def recipes(made: Graph) -> dict[str, str]:
    return {stage.name: stage.recipe for stage in made.stages}


def with_steps(path: Path, steps: str) -> Path:
    text = path.read_text()
    path.write_text(text[: text.index("steps:")] + "steps:" + steps)
    return path


def test_row_steps_in_a_row_share_a_stage(path: Path) -> None:
    made = graph(with_steps(path, STEPS.replace("  - exact", "  - short.py:Short\n  - exact")))
    assert made.stages[0].name == "Short+Short_2"
    assert made.stages[0].steps == ("Short", "Short_2")


def test_long_names_are_cut(path: Path) -> None:
    steps = "\n" + "  - short.py:Short\n" * 12
    assert graph(with_steps(path, steps)).stages[0].name == "Short+11_more"


def test_steps_called_as_the_engine_calls_its_own_stages_have_names_of_their_own(
    path: Path,
) -> None:
    code = path.parent / "short.py"
    code.write_text(code.read_text().replace("class Short", "class ids"))
    made = graph(with_steps(path, "\n  - exact_dedup\n  - short.py:ids\n"))
    names = [stage.name for stage in made.stages]
    assert len(set(names)) == len(names)


def test_order_of_steps_is_part_of_the_recipe(path: Path) -> None:
    one = graph(
        with_steps(path, "\n  - short.py:Short: {least: 1}\n  - short.py:Short: {least: 2}\n")
    )
    two = graph(
        with_steps(path, "\n  - short.py:Short: {least: 2}\n  - short.py:Short: {least: 1}\n")
    )
    assert one.stages[0].recipe != two.stages[0].recipe


def test_every_task_has_a_key_that_is_safe_as_a_file_name(path: Path) -> None:
    for stage in graph(path).stages:
        keys = [task.key for task in stage.tasks]
        assert len(set(keys)) == len(keys)
        assert not any("/" in key for key in keys)


def test_input_of_later_stages_is_not_known_before_the_earlier_ones_are_done(path: Path) -> None:
    made = graph(path)
    assert all(len(fingerprint) == 64 for fingerprint in read_tasks(made).values())
    assert [made.stages[1].resolve(task, 0) for task in made.stages[1].tasks] == [None]


def test_renamed_sources_are_other_sources(path: Path) -> None:
    before = read_tasks(graph(path))
    text = path.read_text()
    path.write_text(
        text.replace("  a: {", "  c: {").replace("  b: {", "  a: {").replace("  c: {", "  b: {")
    )
    assert not set(before.values()) & set(read_tasks(graph(path)).values())


def test_another_version_of_one_file_changes_its_own_task(path: Path) -> None:
    manifest, shards = load(path), shards_of(path)
    part = shards[0].parts[0]
    changed_part = replace(part, file=replace(part.file, token="another"))
    changed = [replace(shards[0], parts=(changed_part,)), *shards[1:]]
    before, after = build_graph(manifest, shards), build_graph(manifest, changed)
    assert recipes(before) == recipes(after)
    one, two = read_tasks(before), read_tasks(after)
    assert [label for label in one if one[label] != two[label]] == ["a1.jsonl"]


def test_settings_that_decide_what_a_file_gives_change_its_shards_alone(path: Path) -> None:
    before, after = read_tasks(graph(path)), read_tasks(graph(path, "sources.b.max_row_bytes=99"))
    assert [label for label in before if before[label] != after[label]] == ["b1.jsonl"]


def test_settings_that_choose_files_or_bound_faults_change_nothing(path: Path) -> None:
    before = read_tasks(graph(path))
    assert read_tasks(graph(path, "sources.b.max_bad=0.5", "sources.b.paths=./b*.jsonl")) == before


def test_seed_changes_reductions_and_not_what_was_read(path: Path) -> None:
    before, after = recipes(graph(path)), recipes(graph(path, "seed=8"))
    assert {name for name in before if before[name] != after[name]} == {
        "exact_dedup.reduce",
        "exact_dedup",
    }


def test_name_and_output_are_part_of_no_recipe(path: Path) -> None:
    assert recipes(graph(path)) == recipes(graph(path, "name=other", "output=elsewhere"))


def test_environment_does_not_reach_what_is_written_down(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 56."""
    monkeypatch.setenv("WHERE", "secret-folder")
    field = 'language: "${env:WHERE}", paths: "a*'
    path.write_text(path.read_text().replace('paths: "a*', field))
    (path.parent / "a3.jsonl").write_text('{"text": "some text", "secret-folder": "en"}\n')
    first = graph(path).stages[0]
    assert "secret-folder" not in repr([first.parameters, [dict(t.inputs) for t in first.tasks]])
    assert SETTINGS in first.tasks[0].inputs


class Nothing:
    def run(self, context: TaskContext) -> TaskResult:
        return TaskResult()


def test_stages_of_an_extension_carry_its_name(path: Path) -> None:
    text = path.read_text()
    path.write_text(text + "mixes: {half: {a: 0.5, b: 0.5}}\n")
    made = graph(path)
    stages: list[Stage] = made.extensions["proxy"]
    assert stages
    assert all(stage.name.startswith("proxy.") for stage in stages)
