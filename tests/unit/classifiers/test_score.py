"""Finished students on other corpora, several in one pass."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from small_students import GRADES, PAGES, TOPICS, make_student

from classifiers.score import Score
from pipeline.documents import Docs
from pipeline.errors import ManifestError, ShardError
from pipeline.manifest import load_manifest
from pipeline.manifest.column_checks import column_problems
from pipeline.step import ManifestView
from winnow.testing import warm_up

VIEW = ManifestView(Path("/"), 0, ("web",))


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a fastText student of grades and a linear one of categories."""
    return {
        "edu": make_student(tmp_path_factory.mktemp("edu"), "fasttext", GRADES),
        "topic": make_student(tmp_path_factory.mktemp("topic"), "linear", TOPICS),
    }


def docs(*texts: str) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(texts, pa.large_string())}))


def test_all_columns_of_all_students_are_appended_and_nothing_dropped(
    students: dict[str, Path],
) -> None:
    step = Score(students=students)
    verdict = step.filter(docs(*PAGES, ""))
    assert verdict.keep.all()
    found = {name: values.type for name, values in verdict.columns.items()}
    assert found == step.adds()
    assert [*found] == ["edu", "edu_student", "topic", "topic_confidence", "topic_student"]
    edu = verdict.columns["edu"].to_pylist()
    assert min(edu[1:-1:2]) > max(edu[:-1:2])
    assert edu[-1] == 0
    assert verdict.columns["topic"].to_pylist() == [*["bad", "good"] * 40, None]
    card = orjson.loads((students["edu"] / "card.json").read_bytes())
    assert set(verdict.columns["edu_student"].to_pylist()) == {card["files"]["model.bin"][:16]}


def test_an_empty_batch_gets_the_columns_with_their_types(students: dict[str, Path]) -> None:
    step = Score(students=students)
    empty, one = step.filter(docs()).columns, step.filter(docs("a")).columns
    assert {name: a.type for name, a in empty.items()} == {name: a.type for name, a in one.items()}


def test_a_manifest_that_fits_has_no_problems(students: dict[str, Path]) -> None:
    step = Score(students={name: folder.relative_to("/") for name, folder in students.items()})
    assert list(step.check(VIEW)) == []
    warm_up([step])
    assert len(step.filter(docs("a", "b")).columns) == 5


def test_what_is_no_student_is_told_before_anything_runs(
    students: dict[str, Path], tmp_path: Path
) -> None:
    lost = Path(shutil.copytree(students["topic"], tmp_path / "lost"))
    (lost / "vectors.bin").unlink()
    changed = Path(shutil.copytree(students["edu"], tmp_path / "changed"))
    (changed / "model.bin").write_bytes(b"other")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "card.json").write_text("{}")
    named = {"none": tmp_path / "none", "lost": lost, "changed": changed, "broken": broken}
    found = {
        problem.path: (problem.code, problem.message)
        for problem in Score(students=named).check(VIEW)
    }
    assert {path: code for path, (code, _) in found.items()} == {
        ("students", "none"): "no-student",
        ("students", "lost"): "no-student",
        ("students", "changed"): "student-changed",
        ("students", "broken"): "bad-student",
    }
    assert "it has no card.json" in found[("students", "none")][1]
    assert "it has no vectors.bin" in found[("students", "lost")][1]
    with pytest.raises(ShardError, match="does not have the sha256"):
        Score(students={"x": changed}).filter(docs("a"))


def test_columns_are_new(students: dict[str, Path]) -> None:
    (problem,) = column_problems(Score(students=students), {"topic_confidence": pa.float32()})
    assert problem.code == "column-exists"
    assert "topic_confidence" in problem.message
    (problem,) = column_problems(Score(students={"text": students["edu"]}), {})
    assert (problem.path, problem.code) == (("students", "text"), "column-exists")


def test_another_student_makes_another_step(students: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(students["edu"], tmp_path / "student"))
    step = Score(students={"edu": folder})
    before = step.model_dump(mode="json")
    assert step.model_dump(mode="json") == before
    card: dict[str, Any] = orjson.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(orjson.dumps({**card, "seed": 4}))
    assert step.model_dump(mode="json") != before


def test_errors_point_at_the_student_in_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    path.write_text(
        "name: m\nseed: 1\noutput: out\nsources:\n  a: {format: jsonl, paths: a.jsonl}\n"
        "steps:\n  - score:\n      students:\n        edu: nowhere\n"
    )
    with pytest.raises(
        ManifestError, match=r"m\.yaml:9:14 no-student there is no student in 'nowhere'"
    ):
        load_manifest(path)
