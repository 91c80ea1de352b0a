"""A student's folder: what is in it, that it repeats, and that a changed one is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student_loading import open_student
from classifiers.students.student_settings import FastTextSettings, FastTextVectors
from classifiers.students.student_training import Recipe, train_student
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError

KINDS = ("fasttext", "linear", "mlp")
QUICK = FastTextVectors(kind="fasttext", epoch=1, dim=16, bucket=600_000, minn=3, maxn=3)


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a student's folder, to be damaged."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / name))

    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_holds_the_model_and_a_card_with_its_sha256(
    folders: dict[str, Path], kind: str
) -> None:
    folder = folders[f"{kind} grades"]
    card = orjson.loads((folder / "card.json").read_bytes())
    models = ["model.bin"] if kind == "fasttext" else ["model.safetensors", "vectors.bin"]
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", *models]
    assert card["files"] == {name: sha256_file(folder / name) for name in models}
    assert (card["student"], card["labels"]) == (kind, ["0", "1", "2"])
    assert open_student(folder).digest == card["files"][models[0]]


@pytest.mark.parametrize("kind", KINDS)
def test_training_again_gives_the_same_files(
    graded: Any, folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    texts, grades, _, hashes = graded.rows(0)
    recipe = Recipe(kind, FastTextSettings(), QUICK, hidden=8)  # type: ignore[arg-type]
    card = train_student(recipe, texts, grades, hashes, texts, 1, tmp_path)
    before = orjson.loads((folders[f"{kind} grades"] / "card.json").read_bytes())
    assert orjson.loads(orjson.dumps(card)) == before


def test_the_identity_of_a_head_covers_its_vectors(
    graded: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    texts, grades, _, hashes = graded.rows(0)
    recipe = Recipe("linear", FastTextSettings(), QUICK)
    other = texts.take(np.arange(len(texts) - 1))
    train_student(recipe, texts, grades, hashes, other, 1, tmp_path)
    here = open_digest(tmp_path)
    assert here["vectors.bin"] != open_digest(folders["linear grades"])["vectors.bin"]
    assert here["model.safetensors"] != open_digest(folders["linear grades"])["model.safetensors"]


def open_digest(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir()}


def test_certain_labels_are_written_once_for_fasttext(graded: Any, tmp_path: Path) -> None:
    texts, grades, _, hashes = graded.rows(0)
    certain = SoftLabels(grades.labels, grades.values, (grades.p > 0.5) * 1.0)
    for soft, copies in ((certain, 1), (grades, 5)):
        card = train_student(Recipe(), texts, soft, hashes, texts, 1, tmp_path)
        assert card["copies"] == copies


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fasttext grades", "model.bin"),
        ("linear grades", "model.safetensors"),
        ("mlp grades", "vectors.bin"),
    ],
)
def test_a_file_that_is_not_that_of_the_card_is_refused(
    copied: Callable[[str], Path], name: str, file: str
) -> None:
    folder = copied(name)
    assert open_student(folder).labels == ("0", "1", "2")
    data = bytearray((folder / file).read_bytes())
    data[-1] ^= 1
    (folder / file).write_bytes(data)
    os.utime(folder / file, ns=(1, 1))
    with pytest.raises(ShardError, match=f"{file} .* does not have the sha256") as caught:
        open_student(folder)
    assert caught.value.code == "student-changed"
    (folder / file).unlink()
    with pytest.raises(ShardError, match=f"has lost {file}"):
        open_student(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("labels"), "no card of a student"),
        (lambda card: card.update(student="oracle"), "no card of a student"),
        (lambda card: card.update(files={}), "no sha256 of model.safetensors, vectors.bin"),
        (lambda card: card.update(embedding=None), "has no embedding"),
    ],
)
def test_a_card_that_says_too_little_is_refused(
    copied: Callable[[str], Path], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = copied("linear grades")
    card = orjson.loads((folder / "card.json").read_bytes())
    change(card)
    (folder / "card.json").write_bytes(orjson.dumps(card))
    with pytest.raises(ShardError, match=message) as caught:
        open_student(folder)
    assert caught.value.code == "bad-student"


def test_a_card_of_another_kind_of_file_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("fasttext grades")
    card = orjson.loads((folder / "card.json").read_bytes())
    (folder / "model.bin").write_bytes(b"no model")
    card["files"] = {"model.bin": sha256_file(folder / "model.bin")}
    (folder / "card.json").write_bytes(orjson.dumps(card))
    with pytest.raises(ShardError, match="no fastText model"):
        open_student(folder)


def test_a_folder_without_a_card_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="there is no student in") as caught:
        open_student(tmp_path)
    assert caught.value.code == "no-student"
    (tmp_path / "card.json").write_text("[")
    with pytest.raises(ShardError, match="no card of a student"):
        open_student(tmp_path)


def test_a_student_is_read_once_until_a_file_changes(copied: Callable[[str], Path]) -> None:
    folder = copied("fasttext grades")
    first = open_student(folder)
    assert open_student(folder) is first
    os.utime(folder / "card.json", ns=(1, 1))
    assert open_student(folder) is not first
