"""From a YAML file to a checked manifest, or to every problem at its place."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engine.local_executor import LocalExecutor
from pipeline.errors import LocatedProblem, ManifestError, Refusal
from pipeline.manifest import Manifest, load_manifest
from pipeline.manifest.registry import Registry

GOLDEN = Path(__file__).parents[3] / "golden" / "manifest_errors"
MINIMAL = "sources: {web: {format: jsonl, paths: x}}\n"
Load = Callable[..., Manifest]


@pytest.fixture
def load(tmp_path: Path, registry: Registry) -> Load:
    def from_text(
        text: str, *overrides: str, output: Path | None = None, **environment: str
    ) -> Manifest:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return load_manifest(path, overrides, output, registry=registry, environment=environment)

    return from_text


def problems(load: Load, text: str, *overrides: str, **environment: str) -> list[LocatedProblem]:
    with pytest.raises(ManifestError) as caught:
        load(text, *overrides, **environment)
    return caught.value.problems


def test_defaults(load: Load, tmp_path: Path) -> None:
    manifest = load(MINIMAL)
    assert (manifest.name, manifest.seed, manifest.output) == ("run", 0, Path("runs/run"))
    assert manifest.folder == tmp_path.resolve()
    assert manifest.path == tmp_path / "run.yaml"
    assert isinstance(manifest.executor, LocalExecutor)
    assert manifest.executor.workers >= 1
    assert not manifest.gates.unique_id
    assert manifest.steps == ()
    assert list(manifest.extensions) == ["proxy"]


def test_sources_and_steps_keep_their_order(load: Load) -> None:
    manifest = load(
        """\
sources:
  web: {format: jsonl, paths: [a, b]}
  docs: {format: installed}
  code: {format: installed, what: code}
steps:
  - gopher_quality
  - classify: {positive: docs}
  - gopher_quality: {min_stop_words: 4, stop_words: [de, het]}
"""
    )
    assert list(manifest.sources) == ["web", "docs", "code"]
    assert [named.label for named in manifest.steps] == [
        "gopher_quality", "classify", "gopher_quality_2",
    ]  # fmt: skip
    assert manifest.steps[2].step.model_dump()["stop_words"] == ("de", "het")
    assert manifest.columns == ("quality",)
    assert manifest.view(("x",)).sources == ("web", "docs", "code")


def test_steps_may_be_commented_out(load: Load) -> None:
    assert load(MINIMAL + "steps:\n#  - gopher_quality\n").steps == ()


def test_overrides_and_output_take_precedence(load: Load) -> None:
    manifest = load(
        MINIMAL + "steps: [gopher_quality]\noutput: runs/a\n",
        "steps.gopher_quality.min_stop_words=3",
        "proxy.seeds=2",
        output=Path("elsewhere"),
    )
    assert manifest.steps[0].step.model_dump()["min_stop_words"] == 3
    assert manifest.extensions["proxy"].model_dump()["proxy"] == {"seeds": 2}
    assert manifest.output == Path("elsewhere")
    assert manifest.values["output"] == "runs/a"
    assert manifest.values["proxy"] == {"seeds": 2}


def test_environment_values_are_used_but_not_kept(load: Load) -> None:
    text = "sources: {web: {format: jsonl, paths: '${env:DATA}/x/${env:PART}'}}\n"
    manifest = load(text, DATA="/secret-place", PART="7")
    assert manifest.sources["web"].model_dump()["paths"] == "/secret-place/x/7"
    assert "secret" not in str(manifest.values)


def test_paths_from_the_shell_start_at_the_current_directory(load: Load) -> None:
    text = "sources: {web: {format: jsonl, paths: ['${env:DATA}/x', 'x${env:DATA}']}}\n"
    paths = load(text, DATA="../data").sources["web"].model_dump()["paths"]
    assert paths == [os.path.abspath("../data") + "/x", "x../data"]
    assert load(text, DATA="data").sources["web"].model_dump()["paths"][0] == "data/x"


def test_a_missing_variable_is_reported_where_it_is_used(load: Load) -> None:
    (problem,) = problems(load, MINIMAL + "name: '${env:NOT_SET}'\nseed: 1\n")
    assert (problem.code, problem.line, problem.column) == ("missing-environment", 2, 7)
    (problem,) = problems(load, MINIMAL + "name: '${env:1}'\n")
    assert problem.code == "bad-reference"


def test_a_variable_that_is_used_often_is_reported_once_with_its_places(load: Load) -> None:
    uses = "".join(f"  s{n}: {{format: jsonl, paths: '${{env:DATA}}/{n}'}}\n" for n in range(9))
    (problem,) = problems(load, f"sources:\n{uses}name: '${{env:NAME}}'\n", NAME="x")
    assert (problem.line, problem.column) == (2, 30)
    assert problem.message == "the environment variable DATA is not set"
    places = ", ".join(f"{line}:30" for line in range(3, 11))
    assert problem.hint.endswith(f"it is used at {places} too")


def test_an_empty_variable_is_reported_as_empty(load: Load) -> None:
    text = "sources: {web: {format: jsonl, paths: '${env:DATA}/wiki.jsonl.zst'}}\n"
    (problem,) = problems(load, text, DATA="")
    assert problem.code == "empty-environment"
    assert problem.message == "the environment variable DATA is empty"


def test_of_variables_that_hold_the_same_each_place_names_its_own(load: Load) -> None:
    steps = "".join(
        f"  - classify: {{positive: '${{env:{name}}}', column: {name.lower()}}}\n"
        for name in ("JUDGE", "EMBEDDER", "API_KEY")
    )
    same = "/models/none"
    text = f"{MINIMAL}steps:\n{steps}"
    found = problems(load, text, JUDGE=same, EMBEDDER=same, API_KEY=same)
    assert [problem.message for problem in found] == [
        "no source '${env:JUDGE}' (${env:JUDGE} is '/models/none')",
        "no source '${env:EMBEDDER}' (${env:EMBEDDER} is '/models/none')",
        "no source '${env:API_KEY}'",
    ]


def test_messages_hold_no_environment_value_that_is_no_path(load: Load) -> None:
    found = problems(
        load,
        MINIMAL + "seed: ${env:KEY}\nname: '!${env:KEY}'\n"
        "steps: [{classify: {positive: '${env:KEY}'}}]\n",
        KEY="hunter2hunter2",
    )
    assert len(found) == 2
    wrong_name = MINIMAL + "steps: [{classify: {positive: '${env:KEY}'}}]\n"
    found += problems(load, wrong_name, KEY="hunter2")
    assert "hunter2" not in "\n".join(map(str, found))
    assert "no source '${env:KEY}'" in found[-1].message


def test_custom_steps_come_from_beside_the_manifest(load: Load, tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(
        "from pipeline.step import RowStep\n\n"
        "class Shouting(RowStep):\n    max_ratio: float = 0.5\n"
    )
    manifest = load(MINIMAL + "steps: [{my_filters.py:Shouting: {max_ratio: .4}}]\n")
    (named,) = manifest.steps
    assert (named.name, named.label) == ("my_filters.py:Shouting", "Shouting")
    assert named.step.model_dump() == {"max_ratio": 0.4}
    (problem,) = problems(load, MINIMAL + "steps:\n  - my_filters.py:Shoutin\n")
    assert (problem.line, problem.column, problem.hint) == (3, 5, "did you mean 'Shouting'?")
    (problem,) = problems(load, MINIMAL + "steps:\n  - my_filters.py:Shouting: {ratio: 1}\n")
    assert (problem.line, problem.column, problem.hint) == (3, 30, "did you mean 'max_ratio'?")


def test_custom_code_does_not_run_for_a_file_with_wrong_yaml(load: Load, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
    )
    problems(load, MINIMAL + "seed: 1\nseed: 2\nsteps: ['my.py:A']\n")
    assert not (tmp_path / "ran").exists()
    problems(load, MINIMAL + "steps: ['my.py:A']\n")
    assert (tmp_path / "ran").exists()


def test_checks_see_the_rest_of_the_manifest(load: Load) -> None:
    found = problems(
        load,
        """\
sources: {docs: {format: installed}}
steps:
  - classify: {positive: dosc}
  - classify: {positive: docs}
mixes:
  half:
    doc: 0.5
""",
    )
    assert [(p.line, p.column, p.code, p.hint) for p in found] == [
        (3, 26, "unknown-source", "did you mean 'docs'?"),
        (4, 5, "column-exists", "choose another name"),
        (7, 5, "unknown-source", "did you mean 'docs'?"),
    ]


def test_a_broken_plugin_matters_only_where_it_is_used(tmp_path: Path, registry: Registry) -> None:
    broken = [EntryPoint("it", "no_such_module:X", "winnow.steps")]
    mixed = Registry(
        {"bad_step": broken},
        {"jsonl": registry.format("jsonl"), "bad_format": broken},
        {"bad_section": broken},
    )
    path = tmp_path / "m.yaml"
    path.write_text(MINIMAL)
    assert load_manifest(path, registry=mixed).extensions == {}
    path.write_text(MINIMAL + "steps: [bad_step]\nmixes: {}\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=mixed)
    step, extension = caught.value.problems
    assert (step.code, step.line, step.column) == ("broken-plugin", 2, 9)
    assert "no_such_module" in step.message
    assert "no_such_module" in extension.hint


@pytest.mark.parametrize("content", [b"name: \xff\n", b"\xff\xfea\x00", b"#" * (2**20 + 1), b""])
def test_files_that_are_no_manifest(content: bytes, tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=registry)
    assert caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert problem.code in ("not-utf8", "too-large", "empty")


def test_a_missing_file_suggests_the_one_beside_it(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "quickstart.yaml").write_text(MINIMAL)
    for path in (tmp_path / "quickstrat.yaml", tmp_path):
        with pytest.raises(ManifestError) as caught:
            load_manifest(path, registry=registry)
        assert "quickstart.yaml" in caught.value.problems[0].hint


def test_a_byte_order_mark_is_ignored(load: Load) -> None:
    assert load("\ufeff" + MINIMAL).seed == 0


def test_problems_of_the_file_come_before_those_of_overrides(load: Load) -> None:
    found = problems(load, MINIMAL + "seed: x\nname: a/b\n", "seeed=1", "proxy.x=1.5", "gates.a=1")
    assert [(p.file.rpartition("/")[2], p.line) for p in found] == [
        ("run.yaml", 2), ("run.yaml", 3), ("--set #1", 1), ("--set #2", 1), ("--set #3", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_the_whole_error_text_of_wrong_manifests(
    case: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments ``# --set KEY=VALUE`` in the file are the command line's overrides.

    WINNOW_GOLDEN=update writes what comes out; look at the difference before keeping it.
    """
    monkeypatch.chdir(GOLDEN)
    path = Path(f"{case}.yaml")
    marked = [line[2:] for line in path.read_text().splitlines() if line.startswith("# --set ")]
    overrides = [shlex.split(line)[1] for line in marked]
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, overrides, registry=registry, environment={"SEED": "seventeen"})
    if os.environ.get("WINNOW_GOLDEN") == "update":
        path.with_suffix(".txt").write_text(f"{caught.value}\n")
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()


def test_there_are_golden_files() -> None:
    assert len(list(GOLDEN.glob("*.yaml"))) >= 12
    assert len(list(GOLDEN.glob("*.yaml"))) == len(list(GOLDEN.glob("*.txt")))


WORDS = st.sampled_from(
    ["name", "seed", "sources", "steps", "proxy", "mixes", "executor", "gates", "web", "format",
     "jsonl", "paths", "gopher_quality", "min_stop_words", "classify", "positive", "workers", "3",
     "-1", "2.5", "no", "true", "~", "'x'", "${env:X}", "[", "]", "{", "}", ",", ": ", "- ", "\n",
     "\n  ", "\n    ", "&a ", "*a", "!t ", "my.py:A"]
)  # fmt: skip


@given(words=st.lists(WORDS | st.text(max_size=2), max_size=40))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_loads_or_is_refused_with_places_in_it(
    words: list[str], tmp_path: Path, registry: Registry
) -> None:
    text = "".join(words)
    path = tmp_path / "m.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = []
    try:
        load_manifest(path, registry=registry, environment={})
    except ManifestError as error:
        found = error.problems
    if found:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for problem in found:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_a_run_may_end_at_a_step_as_the_manifest_spells_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pipeline.step import RowStep\n\nclass Shouting(RowStep):\n    pass\n"
    )
    manifest = load(MINIMAL + "steps: [gopher_quality, own.py:Shouting, gopher_quality]\n")
    for spelling in ("own.py:Shouting", "Shouting"):
        assert [n.label for n in manifest.until(spelling).steps] == ["gopher_quality", "Shouting"]
    assert len(manifest.until("gopher_quality").steps) == 1
    assert len(manifest.until("gopher_quality_2").steps) == 3
    with pytest.raises(Refusal, match="no step 'shouting'") as caught:
        manifest.until("shouting")
    assert caught.value.hint == "its steps: gopher_quality, own.py:Shouting, gopher_quality_2"


def test_steps_of_one_class_and_name_are_told_apart_by_their_labels(
    load: Load, tmp_path: Path
) -> None:
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(
            "from pipeline.step import RowStep\n\nclass Own(RowStep):\n    pass\n"
        )
    manifest = load(MINIMAL + "steps: ['a.py:Own', 'b.py:Own', 'b.py:Own']\n")
    assert len(manifest.until("a.py:Own").steps) == 1
    assert len(manifest.until("Own_2").steps) == 2
    with pytest.raises(Refusal, match="has several steps") as caught:
        manifest.until("b.py:Own")
    assert caught.value.hint == "its steps: a.py:Own, Own_2, Own_3"


def test_many_more_workers_than_processors_are_a_warning(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.manifest.loading.cpu_count", lambda: 2)
    assert load(MINIMAL + "executor: {workers: 4}\n").warnings == ()
    (warning,) = load(MINIMAL + "executor: {workers: 500}\n").warnings
    assert ":2:21 many-workers 500 worker processes on 2 processors" in warning
    (warning,) = load(MINIMAL, "executor.workers=500").warnings
    assert warning.startswith("--set #1:1:18 many-workers")
