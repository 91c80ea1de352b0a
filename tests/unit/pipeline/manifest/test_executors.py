"""The executor that a manifest names: installed ones, and classes in files beside it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline.errors import LocatedProblem, ManifestError
from pipeline.executor import Executor
from pipeline.manifest import Manifest, load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat

MINE = """\
from winnow import Executor

class Mine(Executor):
    "Runs tasks elsewhere."
    queue: str = "short"

class Other:
    pass
"""


class Cluster(Executor):
    """Runs tasks on a cluster."""

    partition: str = "all"


def load(folder: Path, executor: str) -> Manifest:
    (folder / "mine.py").write_text(MINE)
    (folder / "m.yaml").write_text(f"sources: {{web: {{format: lines}}}}\nexecutor: {executor}\n")
    broken = [EntryPoint("broken", "no_such_module:X", "winnow.executors")]
    registry = Registry(
        {}, {"lines": SourceFormat}, {}, {"local": Executor, "cluster": Cluster, "broken": broken}
    )
    return load_manifest(folder / "m.yaml", registry=registry)


def problem(folder: Path, executor: str) -> LocatedProblem:
    with pytest.raises(ManifestError) as caught:
        load(folder, executor)
    (found,) = caught.value.problems
    return found


def test_an_installed_executor_is_named_with_its_options(tmp_path: Path) -> None:
    made = load(tmp_path, "{kind: cluster, partition: big, workers: 9}").executor
    assert made == Cluster(partition="big", workers=9)


def test_an_executor_in_a_file_is_named_with_its_options(tmp_path: Path) -> None:
    made = load(tmp_path, "{kind: mine.py:Mine, queue: long, workers: 3}").executor
    assert (type(made).__name__, made.workers) == ("Mine", 3)
    assert made.model_dump()["queue"] == "long"


@pytest.mark.parametrize(
    ("executor", "column", "code", "message", "hint"),
    [
        ("{kind: clutser}", 18, "unknown-executor", "no executor 'clutser'", "'cluster'"),
        ("{kind: mine.py:Mien}", 18, "unknown-class", "mine.py has no class 'Mien'", "'Mine'"),
        ("{kind: mine.py:Other}", 18, "wrong-class", "mine.py:Other is not a Executor", ""),
        ("{kind: m.py:Mine}", 18, "no-plugin-file", "cannot read 'm.py'", "'mine.py'"),
        ("{kind: broken}", 18, "broken-plugin", "no_such_module", "repair or reinstall"),
        ("{kind: 3}", 18, "wrong-type", "the executor must be a name, not 3", ""),
        ("{kind: mine.py:Mine, queu: a}", 32, "unknown-field", "has no field 'queu'", "'queue'"),
        ("{kind: cluster, partition: 3}", 38, "wrong-type", "partition must be text", '"3"'),
        ("{kidn: cluster}", 12, "unknown-field", "has no field 'kidn'", "'kind'"),
        ("{workers: 0}", 21, "out-of-range", "workers must be at least 1", ""),
        ("local", 11, "wrong-type", "executor must be a mapping", "executor: {workers: 2}"),
    ],
)
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, executor: str, column: int, code: str, message: str, hint: str
) -> None:
    found = problem(tmp_path, executor)
    assert (found.line, found.column, found.code) == (2, column, code)
    assert message in found.message
    assert hint in found.hint
