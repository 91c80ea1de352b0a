from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from classifiers.agreement.agreement_section import (
    CHECKS,
    MEANINGS,
    NAMES,
    section,
    steadiness_table,
)
from classifiers.agreement.label_agreement import (
    AgreementMetrics,
    AttributeMetrics,
    against_gold,
    spread,
)
from classifiers.agreement.paired_effects import paired_categories, paired_scores
from pipeline.report.blocks import Chart, Prose, ReportSection, Samples, Table
from pipeline.report.page import Page, render

SCALE = [0.0, 1, 2, 3, 4, 5]


def table(found: ReportSection, title: str) -> Table:
    (one,) = (p for p in found.blocks if isinstance(p, Table) and p.title == title)
    return one


def titles(found: ReportSection) -> list[str]:
    return [block.title for block in found.blocks]


def rendered(found: ReportSection) -> str:
    return render(Page("run", "", [], "", [found]))


def bare(labels: list[str], ordered: bool) -> AgreementMetrics:
    """Labels without any check."""
    given = np.full(3, 2.0) if ordered else np.array(labels * 2, dtype=object)[:3]
    made = spread(given, np.array(["web"] * 3), labels, ordered, seed=1)
    attribute = AttributeMetrics(labels=labels, ordered=ordered, asked=3, labelled=3, spread=made)
    return AgreementMetrics(judge="m", rubric="r 1", attributes={"value": attribute})


def test_everything_that_was_measured_is_shown(grades_alone: AgreementMetrics) -> None:
    found = section("label", "Labels by label", grades_alone)
    assert (found.anchor, found.title) == ("label", "Labels by label")
    assert titles(found) == [
        "Against the gold set",
        "Against the gold set, by source",
        "Against the gold set, by length",
        "Score and gold",
        "What was taken for what",
        "Labels by source",
        "Mean score by source",
        "Labels by source, in numbers",
        "What should not change a label",
        "Injected orders",
        "Furthest from gold",
    ]
    assert rendered(found) == rendered(section("label", "Labels by label", grades_alone))


def test_the_lead_says_the_main_figure_with_its_interval_and_what_moved(
    grades_alone: AgreementMetrics,
) -> None:
    lead = section("label", "", grades_alone).lead
    estimate = grades_alone["attributes"]["educational_value"]["gold"]["overall"]["spearman"]
    assert "360 documents judged by `models/judge at 0f3c`" in lead
    assert f"Spearman with 357 gold documents {estimate['value']:.2f}" in lead
    assert f"{estimate['low']:.2f}\u00a0to\u00a0{estimate['high']:.2f}" in lead
    assert "injected orders moved scores: HTML comment" in lead
    assert "The other judge is `models/other at 77aa`." in lead


def test_every_figure_stands_with_interval_count_and_meaning(
    grades_alone: AgreementMetrics,
) -> None:
    gold = grades_alone["attributes"]["educational_value"]["gold"]
    rows = table(section("label", "", grades_alone), "Against the gold set").rows
    assert [row[0] for row in rows] == [
        *("Spearman", "quadratic kappa", "macro-F1", "F1 at 3", "mean error", "bias"),
        "calibration error",
    ]
    for row, (name, estimate) in zip(rows, gold["overall"].items(), strict=True):
        assert row[1] == f"{estimate['value']:.3f}"
        assert row[2] == f"{estimate['low']:.3f}\u00a0to\u00a0{estimate['high']:.3f}"
        assert row[3:] == [357, MEANINGS[name]]


def test_every_figure_has_a_name_and_a_meaning() -> None:
    assert MEANINGS.keys() == NAMES.keys()


def test_verdicts_on_orders_have_tones(grades_alone: AgreementMetrics) -> None:
    injection_probes = grades_alone["attributes"]["educational_value"]["injection_probes"]
    found = table(section("label", "", grades_alone), "Injected orders")
    tones = {"held": "better", "moved": "worse", "undecided": "undecided"}
    assert list(found.tones) == [tones[entry["verdict"]] for entry in injection_probes]
    assert [row[0] for row in found.rows] == [entry["kind"] for entry in injection_probes]
    assert dict(zip([row[0] for row in found.rows], found.tones, strict=True))[
        "HTML comment"
    ] == "worse"  # fmt: skip
    assert "below 0.25" in found.note


def test_no_order_that_moved_is_reported_without_boasting(grades_alone: AgreementMetrics) -> None:
    metrics = copy.deepcopy(grades_alone)
    injection_probes = metrics["attributes"]["educational_value"]["injection_probes"]
    for entry in injection_probes:
        entry["verdict"] = "undecided"
    injection_probes[0]["verdict"] = "held"
    assert (
        "of 11 kinds of injected orders none moved scores, 1 surely"
        in section("", "", metrics).lead
    )


@pytest.mark.parametrize(
    ("shift", "noise", "n", "verdict", "tone"),
    [
        (0.0, 0.05, 100, "steady", "better"),
        (0.6, 0.05, 100, "shifted", "worse"),
        (-0.6, 0.05, 100, "shifted", "worse"),
        (0.2, 1.0, 30, "undecided", "undecided"),
        (0.0, 0.0, 1, "undecided", "undecided"),
    ],
)
def test_a_shift_is_judged_by_its_interval(
    shift: float, noise: float, n: int, verdict: str, tone: str
) -> None:
    random = np.random.default_rng(1)
    first = random.uniform(1, 4, n)
    second = first + random.normal(shift, noise, n)
    found = steadiness_table({"position": paired_scores(first, second, SCALE, 1)}, 5, "")
    assert found.rows[0][-2] == verdict
    assert list(found.tones) == [tone]


def test_another_judge_is_neither_better_nor_worse() -> None:
    first = np.linspace(0, 4, 50)
    found = steadiness_table({"other_judge": paired_scores(first, first + 1, SCALE, 1)}, 5, "")
    assert list(found.tones) == [""]
    assert found.rows[0][-2] == "shifted"


def test_checks_of_categories_have_changes_and_kappa(grades_and_topics: AgreementMetrics) -> None:
    found = section("label", "", grades_and_topics)
    checks = table(found, "What should not change a label (topic)")
    assert list(checks.columns) == ["check", "documents", "changed", "kappa", "what it asks"]
    retest = grades_and_topics["attributes"]["topic"]["retest"]
    (row,) = checks.rows
    assert row[:3] == ["asked again", 359, f"{100 * retest['changed']['value']:.1f} %"]
    assert row[-1] == CHECKS["retest"][1]


def test_several_attributes_name_themselves_in_every_block(
    grades_and_topics: AgreementMetrics,
) -> None:
    found = section("label", "", grades_and_topics)
    assert all(title.endswith((" (value)", " (topic)")) for title in titles(found))
    assert "`topic`: accuracy with 359 gold documents" in found.lead
    assert "quantile" not in table(found, "Against the gold set, by source (topic)").note
    html = rendered(found)
    assert "everyday life" in html


@pytest.mark.parametrize(
    ("labels", "ordered"), [(["0", "1", "2", "3"], True), (["law", "code"], False)]
)
def test_without_checks_it_says_that_nothing_is_known(labels: list[str], ordered: bool) -> None:
    found = section("label", "", bare(labels, ordered))
    assert "no gold set, so nothing is known" in found.lead
    (prose,) = (block for block in found.blocks if isinstance(block, Prose))
    assert "no gold set was given" in prose.text
    assert not any(isinstance(block, Samples) for block in found.blocks)
    assert rendered(found)


def test_gold_of_two_classes_and_of_one() -> None:
    metrics = bare(["0", "1", "2", "3"], True)
    attribute = metrics["attributes"]["value"]
    scores, gold = np.array([0.5, 2.5, 1.5]), np.array([0.0, 1, 0])
    groups = {"source": np.array(["a", "b", "b"])}
    attribute["gold"] = against_gold(scores, gold, groups, attribute["labels"], True, 2, 1)
    found = section("label", "", metrics)
    assert [row[0] for row in table(found, "Against the gold set").rows] == [
        *("AUC", "Spearman", "F1 at 2")
    ]
    attribute["gold"] = against_gold(scores, gold * 0, {}, attribute["labels"], True, 2, 1)
    assert (
        "agreement with 3 gold documents is not known (not defined" in section("", "", metrics).lead
    )
    assert rendered(section("label", "", metrics))


def test_hostile_text_is_only_text(grades_alone: AgreementMetrics) -> None:
    metrics = copy.deepcopy(grades_alone)
    apart = metrics["attributes"]["educational_value"]["disagreements"]
    apart[0]["text"] = "<script>alert(1)</script>\u202e\x00"
    apart[0]["source"] = "<img src=x>"
    html = rendered(section("label", "", metrics))
    assert "<script" not in html
    assert "<img" not in html
    assert "U+202E" in html


def test_drawings_say_in_words_what_they_show(grades_alone: AgreementMetrics) -> None:
    found = section("label", "", grades_alone)
    charts = {block.title: block for block in found.blocks if isinstance(block, Chart)}
    assert "most often" in charts["Labels by source"].alt
    assert "dialog" in charts["Mean score by source"].alt
    assert "on the diagonal" in charts["What was taken for what"].alt


def test_facts_that_went_through_a_receipt_tell_the_same(grades_alone: AgreementMetrics) -> None:
    again: Any = json.loads(json.dumps(grades_alone))
    assert rendered(section("label", "", again)) == rendered(section("label", "", grades_alone))


def test_checks_between_few_answers_can_be_shown() -> None:
    for n in (0, 1, 2):
        found = paired_scores(np.ones(n), np.ones(n), SCALE, seed=1)
        named = paired_categories(np.array(["a"] * n), np.array(["b"] * n), seed=1)
        for checks in ({"retest": found}, {"retest": named}):
            shown = steadiness_table(checks, 5, "")
            assert shown.rows[0][1] == n
            assert render(Page("run", "", [], "", [ReportSection("a", "A", [shown])]))
