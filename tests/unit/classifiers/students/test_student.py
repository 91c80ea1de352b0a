"""What a student gives for a document, whatever its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.students.preprocessing import TextBatch
from classifiers.students.student import Floats, Student
from classifiers.students.student_loading import open_student
from classifiers.students.student_settings import column_types
from classifiers.students.top_features import top_features

KINDS = ("fasttext", "linear", "mlp")
pieces = st.sampled_from(["", " ", "\n", "\0", "__label__0", "</s>", "the", "int main() {", "日本"])
texts = st.text() | st.lists(pieces, max_size=6).map(" ".join)


def batch(*documents: str) -> TextBatch:
    return TextBatch(pa.array(documents, pa.large_string()))


class Fixed(Student):
    """Gives what it was made with."""

    def __init__(self, rows: list[list[float]], values: tuple[float, ...] | None) -> None:
        super().__init__(("0", "1", "2"), values, "0123456789abcdef" * 4)
        self.rows = np.array(rows)

    def outputs(self, texts: TextBatch) -> Floats:
        return self.rows


def test_a_score_is_the_expected_grade_and_may_leave_the_scale() -> None:
    student = Fixed([[0.5, 0.25, 0.25], [-0.2, 0, 1.2], [0, 0, 1]], (0.0, 1.0, 2.0))
    found = student.score(batch("a", "b", " \n"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.75, 2.4, 0])


def test_probabilities_are_none_below_zero_and_add_up() -> None:
    rows = [[-0.5, 0.5, 1.0], [0, 0, 0], [1, 0, 0]]
    found = Fixed(rows, None).probabilities(batch("a", "b", ""))
    np.testing.assert_allclose(found, [[0, 1 / 3, 2 / 3], [1 / 3] * 3, [0, 0, 0]], rtol=1e-6)


def test_columns_of_a_scale_and_of_categories() -> None:
    rows = [[0.1, 0.7, 0.2], [1, 0, 0]]
    scale = Fixed(rows, (0.0, 1.0, 2.0)).columns("edu", batch("a", "b"))
    assert {n: a.type for n, a in scale.items()} == column_types("edu", scale=True)
    assert tuple(scale) == ("edu", "edu_student")
    assert scale["edu"].type == pa.float32()
    assert scale["edu_student"].to_pylist() == ["0123456789abcdef"] * 2
    topics = Fixed(rows, None).columns("topic", batch("a", "\n"))
    assert {n: a.type for n, a in topics.items()} == column_types("topic", scale=False)
    assert topics["topic"].to_pylist() == ["1", None]
    assert topics["topic"].type == topics["topic_student"].type == pa.large_string()
    assert topics["topic_confidence"].to_pylist() == pytest.approx([0.7, 0])
    with pytest.raises(TypeError, match="no score"):
        Fixed(rows, None).score(batch("a", "b"))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(documents=st.lists(texts, max_size=5))
def test_any_text_is_scored_alone_as_in_company(
    folders: dict[str, Path], kind: str, documents: list[str]
) -> None:
    for target in ("grades", "topics"):
        student = open_student(folders[f"{kind} {target}"])
        together = student.columns("x", batch(*documents))
        for row, text in enumerate(documents):
            alone = student.columns("x", batch(text))
            assert [c[0].as_py() for c in alone.values()] == [
                c[row].as_py() for c in together.values()
            ]
        p = student.probabilities(batch(*documents))
        assert ((p >= 0) & (p <= 1)).all()
        blank = batch(*documents).blank
        np.testing.assert_allclose(p.sum(1), np.where(blank, 0, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_higher_grades_score_higher_and_the_score_is_of_the_outputs(
    graded: Any, folders: dict[str, Path], kind: str
) -> None:
    documents, soft, _, _ = graded.rows(1)
    student = open_student(folders[f"{kind} grades"])
    scores = student.score(documents)
    means = [scores[soft.best == grade].mean() for grade in range(3)]
    assert means[0] + 0.3 < means[1]
    assert means[1] + 0.3 < means[2]
    np.testing.assert_allclose(student.outputs(documents) @ [0, 1, 2], scores, atol=1e-5)
    assert student.score(batch("", "\0 \n")).tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_soft_labels_keep_students_from_being_too_sure(
    graded: Any, folders: dict[str, Path], kind: str
) -> None:
    # Each document is its own grade by 0.8: a student that learned that as certain says more.
    documents, *_ = graded.rows(0)
    p = open_student(folders[f"{kind} grades"]).probabilities(documents)
    assert p.max(1).mean() == pytest.approx(0.8, abs=0.1)


def mean_grade(graded: Any, words: list[str]) -> float:
    """The mean grade of the places where ``words`` stand."""
    documents, soft, *_ = graded.rows(0)
    rows = zip(documents.preprocessed.to_pylist(), soft.best, strict=True)
    return float(np.mean([grade for seen, grade in rows for w in seen.split() if w in words]))


@pytest.mark.parametrize("kind", KINDS)
def test_telling_words_tell_programs_from_articles(
    graded: Any, folders: dict[str, Path], kind: str
) -> None:
    documents, *_ = graded.rows(0)
    found = top_features(open_student(folders[f"{kind} grades"]), documents)
    assert set(found) == {"high", "low"}
    low, high = (mean_grade(graded, [e["word"] for e in found[side]]) for side in ("low", "high"))
    assert low < 0.5
    assert high > low + 0.5
    topics = top_features(open_student(folders[f"{kind} topics"]), documents, count=5)
    assert set(topics) == {"code", "talk", "an article"}
    assert {len(entries) for entries in topics.values()} == {5}
    for entries in [*found.values(), *topics.values()]:
        assert min(entry["weight"] for entry in entries) > 0
        assert min(entry["frequency"] for entry in entries) >= 5
