"""Files that a step names are found beside the manifest, and their content belongs to the step."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.engine.fingerprint import sha256_file
from pipeline.named_files import Location, NamesFiles, packaged
from pipeline.step import ManifestView


class Reader(NamesFiles):
    first: str = "first.txt"
    more: tuple[str, ...] = ()

    def files(self) -> Mapping[Location, Path]:
        listed = {("more", i): self.located(Path(name)) for i, name in enumerate(self.more)}
        return {("first",): self.located(Path(self.first)), **listed}


def view(folder: Path) -> ManifestView:
    return ManifestView(folder, 0, ())


def test_paths_begin_at_the_folder_of_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    step = Reader()
    assert step.files()["first",].read_text() == "x"
    monkeypatch.chdir("/")
    assert list(step.check(view(tmp_path))) == []
    assert pickle.loads(pickle.dumps(step)).files() == {  # noqa: S301 - what a worker is given
        ("first",): tmp_path / "first.txt"
    }


def test_an_absolute_path_is_one(tmp_path: Path) -> None:
    step = Reader(first=str(tmp_path / "gone.txt"))
    (problem,) = step.check(view(Path("/elsewhere")))
    assert str(tmp_path / "gone.txt") in problem.message


def test_every_missing_file_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "there.txt").touch()
    (tmp_path / "folder").mkdir()
    found = list(Reader(more=("there.txt", "gone.txt", "folder")).check(view(tmp_path)))
    assert [problem.path for problem in found] == [("first",), ("more", 1), ("more", 2)]
    assert "'gone.txt'" in found[1].message


def test_contents_are_in_the_json_and_folders_are_not(tmp_path: Path) -> None:
    dumps = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "first.txt").write_text("same")
        step = Reader(more=("gone.txt",))
        list(step.check(view(tmp_path / name)))
        dumps.append(step.model_dump(mode="json"))
    digest = sha256_file(tmp_path / "a" / "first.txt")
    assert dumps[0] == dumps[1]
    assert dumps[0]["contents"] == {"first": digest}
    assert "contents" not in step.model_dump()
    assert Reader.model_validate(step.model_dump()) == Reader(more=("gone.txt",))


def test_a_step_without_files_has_no_contents() -> None:
    assert "contents" not in Reader(first="no-such-file").model_dump(mode="json")


def test_a_package_is_located_and_not_imported() -> None:
    path = packaged("antigravity", "antigravity.py")  # importing it opens a browser
    assert path is not None
    assert path.is_file()
    assert "antigravity" not in sys.modules
    assert packaged("no_such_package", "file") is None
