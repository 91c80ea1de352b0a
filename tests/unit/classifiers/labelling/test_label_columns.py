"""From answers to columns: probabilities add up, what has no label is null, places are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge_identity import Wording, label_key
from classifiers.judges.prompts import document_id
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.label_columns import (
    answers_of,
    columns_for,
    has_words,
    label_columns,
    probabilities_of,
    scores_of,
    stored_labels,
    write_labels,
)
from classifiers.labelling.label_store import LabelStore, Stored
from classifiers.sampling.stratified_sampling import Sample

SCALE = Attribute(question="?", scale={"1": "low", "3": "middle", "9": "high"})
CHOICES = Attribute(question="?", choices={"law": "courts", "fun": "jokes", "ads": "sales"})
RUBRIC = Rubric(name="r", version=1, instruction="i", attributes={"grade": SCALE, "topic": CHOICES})
LOW, HIGH = Label((0.7, 0.2, 0.1), 0.9), Label((0.0, 0.25, 0.75), 0.4)
BOTH = Answer({"grade": LOW, "topic": HIGH}, {})


def stored(text: str, answer: Answer = BOTH, repeat: int = 0) -> Stored:
    document = document_id(text)
    key = label_key("judge", Wording(RUBRIC, 64).id, document, repeat)
    return Stored(key, "judge", "request", document, repeat, answer, 1, 1)


def sampled(*places: tuple[int, int]) -> Sample:
    count = len(places)
    return Sample(
        np.array(places, dtype=np.int64).reshape(-1, 2),
        np.arange(count) % 2,
        ("a", "b"),
        np.arange(count, dtype=np.float64) + 1,
    )


def test_labels_of_the_store_come_back_text_by_text(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "s")
    store.write([stored("x"), stored("y", Answer.refused("garbage")), stored("x", repeat=1)], [])
    found = stored_labels(store, "judge", Wording(RUBRIC, 64), ["y", "gone", "x", "x"])
    assert [label and label.document for label in found] == [
        document_id("y"), None, document_id("x"), document_id("x")
    ]  # fmt: skip
    again = stored_labels(store, "judge", Wording(RUBRIC, 64), ["x", "y"], repeat=1)
    assert [label is None for label in again] == [False, True]
    for wording in (Wording(RUBRIC, 63), Wording(RUBRIC, 64, reverse=True)):
        assert stored_labels(store, "judge", wording, ["x"]) == [None]
    assert stored_labels(store, "another", Wording(RUBRIC, 64), ["x"]) == [None]


def test_what_has_no_answer_has_a_code_instead() -> None:
    answers = answers_of(["x", "lost", " ?! "], [stored("x"), None, None], 0.5)
    assert [answer.error("grade") for answer in answers] == ["", "no-answer", "empty"]
    assert answers[0].error("topic") == "low-mass", "0.4 of all probability"
    assert answers_of(["x"], [stored("x")], 0.4)[0].error("topic") == ""


@pytest.mark.parametrize("text", ["a", "7", "…漢", "_é_", "٣", "ß"])
def test_letters_and_digits_are_words(text: str) -> None:
    assert has_words(text)


@given(st.text(st.characters(categories=["P", "S", "Z", "Cc", "Cf", "Co"])))
def test_nothing_else_is(text: str) -> None:
    assert not has_words(text)


def test_columns_hold_the_expectation_the_likeliest_and_the_probabilities() -> None:
    answers = [BOTH, Answer.refused("x"), Answer({"topic": LOW}, {"grade": "y"})]
    grade = label_columns("grade", SCALE, answers)
    assert list(grade) == ["grade", "grade_p"]
    assert grade["grade"].type == pa.float32()
    assert grade["grade"].to_pylist() == [pytest.approx(0.7 * 1 + 0.2 * 3 + 0.1 * 9), None, None]
    assert grade["grade_p"].to_pylist()[0] == pytest.approx({"1": 0.7, "3": 0.2, "9": 0.1})
    topic = label_columns("topic", CHOICES, answers)
    assert topic["topic"].to_pylist() == ["ads", None, "law"]
    assert topic["topic"].type == pa.large_string()
    assert topic["topic_p"].null_count == 1
    assert [field.name for field in topic["topic_p"].type] == ["law", "fun", "ads"]


def test_columns_of_no_document_have_their_types() -> None:
    whole, none = (label_columns("topic", CHOICES, answers) for answers in ([BOTH], []))
    assert {k: v.type for k, v in whole.items()} == {k: v.type for k, v in none.items()}
    whole, none = (label_columns("grade", SCALE, a) for a in ([BOTH], [Answer.refused("x")]))
    assert {k: v.type for k, v in whole.items()} == {k: v.type for k, v in none.items()}
    assert none["grade"].null_count == none["grade_p"].null_count == 1


@given(st.lists(st.none() | st.lists(st.floats(0.01, 1), min_size=3, max_size=3), max_size=20))
def test_probabilities_add_up_and_scores_are_within_the_scale(
    weights: list[list[float] | None],
) -> None:
    answers = [
        Answer.refused("x")
        if given is None
        else Answer({"grade": Label.of_logprobs(np.log(np.array(given) / 4).tolist())}, {})
        for given in weights
    ]
    found, scores = probabilities_of(answers, "grade", 3), scores_of(answers, "grade", SCALE)
    missing = np.array([given is None for given in weights], dtype=bool)
    assert (np.isnan(scores) == missing).all()
    assert (np.isnan(found).any(axis=1) == missing).all()
    assert found[~missing].sum(axis=1) == pytest.approx(1)
    assert ((scores[~missing] >= 1) & (scores[~missing] <= 9)).all()
    columns = label_columns("grade", SCALE, answers)
    assert columns["grade"].is_null().to_pylist() == missing.tolist()


def test_rows_are_written_by_place_with_all_that_is_known(tmp_path: Path) -> None:
    sample = sampled((1, 5), (0, 9), (0, 2))
    answers = [BOTH, Answer.refused("garbage"), Answer({"grade": LOW}, {"topic": "t"}, "Because")]
    write_labels(tmp_path / "l", RUBRIC, sample, answers)
    rows = pq.read_table(tmp_path / "l").to_pylist()
    assert [(row["shard"], row["row"]) for row in rows] == [(0, 2), (0, 9), (1, 5)]
    assert [(row["stratum"], row["weight"]) for row in rows] == [("a", 3), ("b", 2), ("a", 1)]
    assert [row["grade_error"] for row in rows] == [None, "garbage", None]
    assert [row["topic_error"] for row in rows] == ["t", "garbage", None]
    assert [row["rationale"] for row in rows] == ["Because", None, None]
    assert rows[2]["grade_mass"] == 0.9
    assert rows[2]["grade_entropy"] == pytest.approx(LOW.entropy)
    assert rows[1]["grade_mass"] is rows[1]["grade_p"] is None


def test_equal_labels_are_equal_bytes(tmp_path: Path) -> None:
    for name in "xy":
        write_labels(tmp_path / name, RUBRIC, sampled((0, 1), (0, 0)), [BOTH, BOTH])
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_documents_find_their_labels_and_others_get_nulls(tmp_path: Path) -> None:
    answers = [
        Answer({"grade": Label((p, 1 - p, 0.0), 1.0), "topic": LOW}, {}) for p in (0.1, 0.2, 0.3)
    ]
    write_labels(tmp_path / "l", RUBRIC, sampled((0, 3), (1, 3), (0, 8)), answers)
    first = columns_for(tmp_path / "l", RUBRIC, 0, 0, 5)
    assert list(first) == ["grade", "grade_p", "topic", "topic_p"]
    assert [v and round(v["1"], 3) for v in first["grade_p"].to_pylist()] == [
        None, None, None, 0.1, None
    ]  # fmt: skip
    second = columns_for(tmp_path / "l", RUBRIC, 0, 5, 5)["topic"].to_pylist()
    assert second == [None, None, None, "law", None]
    assert columns_for(tmp_path / "l", RUBRIC, 2, 0, 2)["grade"].to_pylist() == [None, None]
    for column in columns_for(tmp_path / "l", RUBRIC, 0, 0, 0).values():
        assert isinstance(column, pa.Array)
        assert len(column) == 0


def test_labels_written_anew_are_read_anew(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", RUBRIC, sampled((0, 0)), [BOTH])
    assert columns_for(tmp_path / "l", RUBRIC, 0, 0, 1)["topic"].to_pylist() == ["ads"]
    write_labels(tmp_path / "l", RUBRIC, sampled((0, 0)), [Answer({"topic": LOW}, {})])
    assert columns_for(tmp_path / "l", RUBRIC, 0, 0, 1)["topic"].to_pylist() == ["law"]
