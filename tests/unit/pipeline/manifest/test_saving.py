"""Values of ``--set`` in a manifest's file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import pytest
from measure_fixtures import write_project

from pipeline.errors import ManifestError, Refusal
from pipeline.manifest import load_manifest
from pipeline.manifest.saving import write_values


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The manifest of a small project."""
    return write_project(tmp_path)


def changed(before: str, after: str) -> list[str]:
    """Lines taken out and put in, as ``diff`` shows them."""
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in lines if line[0] in "-+"]


def load(path: Path, *overrides: str) -> dict[str, Any]:
    return load_manifest(path, overrides).values


def test_a_manifest_is_replaced_by_one_that_says_the_same(project: Path) -> None:
    overrides = ["steps.Sized.least=4", "steps.Trim.most=9", "steps.Trim.most=8"]
    wanted, before = load(project, *overrides), project.read_text()
    lines = write_values(project, overrides)
    assert load(project) == wanted
    assert len(lines) == 2
    assert changed(before, project.read_text()) == [
        "-   - filters.py:Sized: {least: 5}      # characters",
        "+   - filters.py:Sized: {least: 4}      # characters",
        "-   - filters.py:Trim",
        "+   - filters.py:Trim: {most: 8}",
    ]


def test_what_is_wrong_leaves_the_file_alone(project: Path) -> None:
    before = project.read_bytes()
    for override in ("steps.Sized.leest=4", "steps.Sized.least=no", "steps.None.x=1"):
        with pytest.raises(ManifestError, match="--set #1"):
            write_values(project, [override])
    assert project.read_bytes() == before
    assert not list(project.parent.glob(".*"))


def test_a_text_that_would_not_say_the_same_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.read_bytes()
    for spoilt in ("seed: [", "sources: {}\n", project.read_text() + "seed: 9\n"):
        monkeypatch.setattr("pipeline.manifest.saving.with_value", lambda *_, to=spoilt: to)
        with pytest.raises(Refusal, match="--write cannot edit"):
            write_values(project, ["steps.Sized.least=4"])
        assert project.read_bytes() == before
    assert not list(project.parent.glob(".*"))


def test_marks_ends_of_lines_mode_and_links_stay(project: Path) -> None:
    data = b"\xef\xbb\xbf" + project.read_bytes().replace(b"\n", b"\r\n")
    project.write_bytes(data)
    project.chmod(0o640)
    link = project.with_name("link.yaml")
    link.symlink_to(project.name)
    write_values(link, ["steps.Sized.least=4"])
    assert project.read_bytes() == data.replace(b"least: 5", b"least: 4")
    assert project.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()


def test_a_folder_that_is_read_only_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    before = project.read_bytes()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Refusal, match=r"cannot write .*: No space left on device"):
        write_values(project, ["steps.Sized.least=4"])
    assert project.read_bytes() == before
    assert not list(project.parent.glob(".*"))


def test_references_to_the_environment_are_written_as_such(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGN", "secret!")
    write_values(project, ["steps.Loud.sign=${env:SIGN}"])
    assert "  - filters.py:Loud: {sign: '${env:SIGN}'}\n" in project.read_text()
    assert "secret" not in project.read_text()
