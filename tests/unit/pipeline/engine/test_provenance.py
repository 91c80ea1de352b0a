from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.provenance import Environment, changes, commit_of, manifest_changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "m.yaml").write_text("name: a\n")
    git = ("git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (["init", "-q"], ["add", "m.yaml"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    return folder


def test_a_tracked_file_has_a_commit_and_says_when_files_differ_from_it(repository: Path) -> None:
    commit = commit_of(repository / "m.yaml")
    assert len(commit) == 12
    (repository / "m.yaml").write_text("name: b\n")
    assert commit_of(repository / "m.yaml") == f"{commit}-dirty"


def test_a_file_that_no_repository_tracks_has_none(repository: Path, tmp_path: Path) -> None:
    (repository / "other.yaml").write_text("name: a\n")
    assert commit_of(repository / "other.yaml") == ""
    assert commit_of(tmp_path / "nowhere.yaml") == ""
    assert commit_of(tmp_path / "no" / "folder.yaml") == ""


def test_without_git_there_is_none(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert commit_of(repository / "m.yaml") == ""


def test_an_environment_has_the_versions_that_winnow_requires(tmp_path: Path) -> None:
    found = Environment.of(tmp_path / "m.yaml")
    assert found.cores >= 1
    assert found.memory > 2**20
    assert {"numpy", "pyarrow", "pydantic"} <= found.packages.keys()
    assert "pytest" not in found.packages


@given(JSON, JSON)
def test_trees_differ_exactly_when_a_change_is_found(before: Any, now: Any) -> None:
    assert bool(list(changes(before, now))) == (repr(before) != repr(now))


def test_steps_are_compared_by_their_labels_whatever_stands_before_them() -> None:
    before = {"seed": 1, "steps": ["exact_dedup", {"url": {"a": 1}}, {"url": {"a": 2}}]}
    now = {"seed": 2, "steps": [{"pii": {}}, {"url": {"a": 1}}, {"url": {"a": 3}}]}
    assert list(manifest_changes(before, now)) == [
        "seed: 1 → 2",
        "steps.exact_dedup: {} is gone",
        "steps.url_2.a: 2 → 3",
        "steps.pii: {} is new",
    ]


def test_another_order_of_steps_is_a_change() -> None:
    (found,) = manifest_changes({"steps": ["pii", "url"]}, {"steps": ["url", "pii"]})
    assert found == "steps are in another order: pii, url → url, pii"


def test_a_long_value_is_cut() -> None:
    (found,) = changes({"a": "x" * 500}, {"a": ""})
    assert len(found) < 250
