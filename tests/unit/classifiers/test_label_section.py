"""The report of a label step: agreement first, then what the labels have cost."""

from __future__ import annotations

from typing import Any

import pytest

from classifiers.judges.answers import Answer, Label
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.label_section import sections
from classifiers.labelling.judge_checks import CheckedAnswers, attribute_metrics
from pipeline.report.blocks import Table
from pipeline.report.page import Page, render

RUBRIC = Rubric(
    name="r",
    version=1,
    instruction="i",
    attributes={"a": Attribute(question="?", scale={"0": "no", "1": "yes"})},
)


def metrics(labels: int, errors: dict[str, int]) -> dict[str, Any]:
    answers = [Answer({"a": Label((0.5, 0.5), 1.0)}, {})] * labels
    said = CheckedAnswers({"document": answers}, [], None, "", [], ["web"] * labels, None, 1)
    return {
        "errors": errors,
        "cost": {"labels": labels, "prompt_tokens": 1_000 * labels, "completion_tokens": labels},
        "agreement": {
            "judge": "judge <b>",
            "rubric": "r 1",
            "attributes": {"a": attribute_metrics("a", RUBRIC, said)},
        },
    }


@pytest.mark.parametrize("labels", [0, 1, 40])
def test_costs_come_last_and_errors_with_their_codes(labels: int) -> None:
    (section,) = sections("label_2", metrics(labels, {"empty": 3, "garbage": 1}))
    table = section.blocks[-1]
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows] == [
        ["labels", labels],
        ["prompt tokens", 1_000 * labels],
        ["generated tokens", labels],
        ["tokens per label", 1_001.0 if labels else 0.0],
        ["without a label: empty", 3],
        ["without a label: garbage", 1],
    ]
    assert section.title == "Agreement: label_2"


def test_the_command_that_a_note_names_is_one_that_shows_and_does_not_run() -> None:
    html = render(Page("run", "", [], "", list(sections("label", metrics(4, {})))))
    assert "winnow label --costs" in html
    assert "judge <b>" not in html
