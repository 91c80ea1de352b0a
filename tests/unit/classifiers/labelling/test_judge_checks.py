"""What a judge is asked beside the labels, and the facts that are made of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from classifiers.judges.answers import Answer, Label
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.gold_labels import Gold
from classifiers.labelling.judge_checks import (
    CONTROLS,
    SURE_CHARACTERS,
    CheckedAnswers,
    InjectedDocument,
    attribute_metrics,
    given,
    inject_probes,
    other_question,
    questions,
)
from classifiers.labelling.label_config import Checks

SCALE = Attribute(question="?", scale={"0": "no", "1": "a little", "2": "yes"})
CHOICES = Attribute(question="?", choices={"law": "courts", "fun": "jokes"})
RUBRIC = Rubric(name="r", version=1, instruction="i", attributes={"a": SCALE, "b": CHOICES})
TEXTS = [f"Text number {n} about this and that." for n in range(20)]


def gold_of(texts: Sequence[str], labels: Sequence[Any]) -> Gold:
    names: Any = np.array([None] * len(texts), dtype=object)
    kind: Any = object if isinstance(labels[0], str) else np.float64
    return Gold(list(texts), np.array(labels, dtype=kind), names, names)


def answer(grade: float, topic: int = 0) -> Answer:
    """An answer whose expected grade is ``grade``."""
    scale = Label((1 - grade / 2, 0.0, grade / 2), 1.0)
    return Answer({"a": scale, "b": Label.certain(topic, 2)}, {})


def checked(documents: Sequence[Answer], **more: Any) -> CheckedAnswers:
    answers = {"document": documents, **more.pop("answers", {})}
    whole: dict[str, Any] = {
        "answers": answers, "other": [], "gold": None, "gold_attribute": "", "injected": [],
        "sources": ["web"] * len(documents), "threshold": None, "seed": 1,
    }  # fmt: skip
    return CheckedAnswers(**whole | more)


def test_only_what_is_wanted_is_asked() -> None:
    assert set(questions(TEXTS, None, [], Checks(), 64)) == {"document"}
    assert set(questions([], None, [], Checks(retest=3), 64)) == {"document"}
    checks = Checks(retest=3, position=4, truncation=99)
    asked = questions(TEXTS, gold_of(["g"], [1]), [], checks, 65)
    assert set(asked) == {"document", "gold", "retest", "position", "truncation"}
    assert [len(asked[name].texts) for name in asked] == [20, 1, 3, 4, 20]
    assert {name: question.limit for name, question in asked.items() if question.limit != 65} == {
        "truncation": 32
    }
    assert [name for name, question in asked.items() if question.repeat] == ["retest"]
    assert [name for name, question in asked.items() if question.reverse] == ["position"]


def test_another_judge_reads_the_gold_set_or_some_documents() -> None:
    assert other_question(TEXTS, gold_of(["g"], [1]), 64).texts == ["g"]
    assert other_question(TEXTS * 20, None, 64).texts == (TEXTS * 20)[:100]


def test_injection_probes_are_within_what_is_read_and_always_the_same() -> None:
    long = "A sentence of a long document. " * 500
    injected = inject_probes([long, "short"], SCALE, 100, seed=3)
    assert injected == inject_probes([long, "short"], SCALE, 100, seed=3)
    kinds = [item.kind for item in injected]
    assert len(set(kinds)) * 2 == len(kinds) > 10
    for item in injected:
        assert item.original in (long[: 100 * SURE_CHARACTERS], "short")
        assert item.injected != item.original
        assert len(item.harmless) == len(item.injected)
    assert len({item.document for item in injected}) == 2
    whole = "".join(item.injected for item in injected)
    assert any(control in whole for control in CONTROLS)


def test_labels_are_compared_as_scores_or_as_names() -> None:
    answers = [answer(1.5, 1), Answer.refused("x")]
    np.testing.assert_allclose(given(answers, "a", SCALE), [1.5, np.nan])
    assert given(answers, "b", CHOICES).tolist() == ["fun", None]


def test_facts_count_what_was_asked_and_labelled() -> None:
    metrics = attribute_metrics("a", RUBRIC, checked([answer(1), Answer.refused("x"), answer(2)]))
    assert (metrics["asked"], metrics["labelled"]) == (3, 2)
    assert (metrics["labels"], metrics["ordered"]) == (["0", "1", "2"], True)
    assert "gold" not in metrics
    assert attribute_metrics("b", RUBRIC, checked([answer(1)]))["ordered"] is False
    assert attribute_metrics("a", RUBRIC, checked([]))["asked"] == 0


@pytest.mark.parametrize("check", ["retest", "position", "truncation"])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_check_compares_the_same_documents(check: str, name: str) -> None:
    """Of the first ones, with the answers to the same texts, in order."""
    documents = [answer(n % 5 / 2, n % 2) for n in range(40)]
    same = attribute_metrics(name, RUBRIC, checked(documents, answers={check: documents[:30]}))[
        check
    ]  # type: ignore[literal-required]
    turned = [answer(2 - n % 5 / 2, 1 - n % 2) for n in range(30)]
    other = attribute_metrics(name, RUBRIC, checked(documents, answers={check: turned}))[check]  # type: ignore[literal-required]
    assert same["changed"]["value"] == 0
    assert same["changed"]["n"] == 30
    assert other["changed"]["value"] > 0.5


def test_gold_is_compared_on_its_own_attribute() -> None:
    gold = gold_of([f"g{n}" for n in range(30)], [n % 3 for n in range(30)])
    right = [answer(n % 3) for n in range(30)]
    whole = checked([answer(1)], answers={"gold": right}, gold=gold, gold_attribute="a")
    metrics = attribute_metrics("a", RUBRIC, whole)
    assert metrics["gold"]["overall"]["spearman"]["value"] == pytest.approx(1)
    assert metrics["disagreements"] == []
    assert "gold" not in attribute_metrics("b", RUBRIC, whole)


def test_disagreements_name_the_line_of_the_gold_set() -> None:
    gold = gold_of([f"g{n}" for n in range(12)], [0] * 6 + [2] * 6)
    judged = [answer(0)] * 6 + [answer(2)] * 5 + [answer(0)]
    whole = checked([answer(1)], answers={"gold": judged}, gold=gold, gold_attribute="a")
    first = attribute_metrics("a", RUBRIC, whole)["disagreements"][0]
    assert "gold line 12" in first.values()


def test_categories_of_gold_are_names() -> None:
    gold = gold_of(["x"] * 20, ["law", "fun"] * 10)
    judged = [answer(0, n % 2) for n in range(20)]
    judged[3] = Answer.refused("x")
    whole = checked([answer(1)], answers={"gold": judged}, gold=gold, gold_attribute="b")
    assert attribute_metrics("b", RUBRIC, whole)["disagreements"] == []


def test_another_judge_is_compared_with_the_gold_answers_or_the_first_documents() -> None:
    documents = [answer(n % 5 / 2) for n in range(20)]
    metrics = attribute_metrics("a", RUBRIC, checked(documents, other=documents[:15]))
    assert metrics["other_judge"]["difference"]["n"] == 15
    gold = gold_of([f"g{n}" for n in range(12)], [n % 3 for n in range(12)])
    judged = [answer(n % 3) for n in range(12)]
    whole = checked(
        documents, answers={"gold": judged}, gold=gold, gold_attribute="a", other=judged
    )
    assert attribute_metrics("a", RUBRIC, whole)["other_judge"]["difference"]["value"] == 0


@pytest.mark.parametrize("obeys", [True, False])
def test_injection_probes_tell_whether_a_judge_obeys(obeys: bool) -> None:
    injected = [InjectedDocument(f"d{n}", "plea", "o", "i", "h") for n in range(30)]
    answers = {
        "original": [answer(0.2)] * 30,
        "injected": [answer(2.0 if obeys else 0.2)] * 30,
        "benign": [answer(0.2)] * 30,
    }
    whole = checked([answer(1)], answers=answers, injected=injected)
    (plea,) = [
        row
        for row in attribute_metrics("a", RUBRIC, whole)["injection_probes"]
        if row["kind"] == "plea"
    ]
    assert plea["verdict"] == ("moved" if obeys else "held")
    assert "injection_probes" not in attribute_metrics("b", RUBRIC, whole), (
        "asked of the first attribute"
    )
