"""What else a judge is asked, so that its labels can be trusted or not: a gold set, the same again,
the scale backwards, half of the text, and orders injected into documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifiers.agreement.injection_probes import benign, injection_probes
from classifiers.agreement.label_agreement import (
    AttributeMetrics,
    against_gold,
    disagreements,
    is_tied,
    length_groups,
    spread,
)
from classifiers.agreement.paired_effects import injections, paired_categories, paired_scores
from classifiers.judges.answers import Answer
from classifiers.judges.prompts import document_id
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.gold_labels import Gold
from classifiers.labelling.label_columns import probabilities_of, scores_of
from classifiers.labelling.label_config import Checks
from classifiers.labelling.questions import Question

# Control tokens as text, of ChatML (Qwen), Llama 3, Gemma and Mistral. Always the same ones: a
# probe must not be another on a machine that has the labels and not the tokenizer.
CONTROLS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]"),
)
# Fewer characters than a token has, so that a probe at the end of a document is read.
SURE_CHARACTERS = 2
OTHER_JUDGES = 100  # documents of the sample that a second judge reads without a gold set


@dataclass(frozen=True)
class InjectedDocument:
    """A probe in a document and its harmless counterpart."""

    document: str
    kind: str
    original: str
    injected: str
    harmless: str


def questions(
    texts: Sequence[str],
    gold: Gold | None,
    injected: Sequence[InjectedDocument],
    checks: Checks,
    limit: int,
) -> dict[str, Question]:
    """Everything that the judge is asked, by purpose: ``document`` of the sample itself, and the
    checks that are wanted."""
    asked = {
        "document": Question(texts, limit),
        "gold": Question(gold.texts if gold else [], limit),
        "retest": Question(texts[: checks.retest], limit, repeat=1),
        "position": Question(texts[: checks.position], limit, reverse=True),
        "truncation": Question(texts[: checks.truncation], max(1, limit // 2)),
        "original": Question([item.original for item in injected], limit),
        "injected": Question([item.injected for item in injected], limit),
        "benign": Question([item.harmless for item in injected], limit),
    }
    return {p: question for p, question in asked.items() if question.texts or p == "document"}


def other_question(texts: Sequence[str], gold: Gold | None, limit: int) -> Question:
    """What a second judge is asked."""
    return Question(gold.texts if gold else texts[:OTHER_JUDGES], limit)


def inject_probes(
    texts: Sequence[str], attribute: Attribute, limit: int, seed: int
) -> list[InjectedDocument]:
    """A probe of every kind in each of ``texts``, all asking for the last answer."""
    injected = []
    for text in texts:
        whole = text[: limit * SURE_CHARACTERS]
        for probe in injection_probes(whole, CONTROLS, seed, attribute.answers[-1]):
            name = document_id(whole).hex()
            harmless = benign(whole, probe)
            injected.append(InjectedDocument(name, probe.kind, whole, probe.text, harmless))
    return injected


@dataclass(frozen=True)
class CheckedAnswers:
    """Answers by purpose, with what they are compared by."""

    answers: Mapping[str, Sequence[Answer]]
    other: Sequence[Answer]  # of a second judge, about the gold set or the first documents
    gold: Gold | None
    gold_attribute: str
    injected: Sequence[InjectedDocument]
    sources: Sequence[str]  # of the sampled documents
    threshold: float | None
    seed: int


def attribute_metrics(name: str, rubric: Rubric, checked: CheckedAnswers) -> AttributeMetrics:
    """Everything that is known of one attribute's labels."""
    attribute = rubric.attributes[name]
    ordered = attribute.values is not None
    answers = checked.answers["document"]
    metrics = AttributeMetrics(
        labels=list(attribute.labels),
        ordered=ordered,
        asked=len(answers),
        labelled=sum(name in answer.labels for answer in answers),
        spread=spread(
            given(answers, name, attribute),
            np.array(checked.sources, dtype=object),
            attribute.labels,
            ordered,
            checked.seed,
        ),
    )
    scores = scores_of(answers, name, attribute)
    # Categories are probable to some degree: equally often the likeliest is no sign of a tie.
    if is_tied(scores if ordered else probabilities_of(answers, name, len(attribute.labels))):
        metrics["tied"] = True
    if checked.gold is not None and name == checked.gold_attribute:
        metrics["gold"], metrics["disagreements"] = _gold(name, attribute, checked, checked.gold)
    if "retest" in checked.answers:
        metrics["retest"] = _paired(
            name, attribute, answers, checked.answers["retest"], checked.seed
        )
    if "position" in checked.answers:
        metrics["position"] = _paired(
            name, attribute, answers, checked.answers["position"], checked.seed
        )
    if "truncation" in checked.answers:
        other = checked.answers["truncation"]
        metrics["truncation"] = _paired(name, attribute, answers, other, checked.seed)
    if checked.other:
        mine = checked.answers["gold"] if checked.gold is not None else answers
        metrics["other_judge"] = _paired(name, attribute, mine, checked.other, checked.seed)
    if checked.injected and name == rubric.first:
        metrics["injection_probes"] = _injection_metrics(name, attribute, checked)
    return metrics


def given(answers: Sequence[Answer], name: str, attribute: Attribute) -> Any:
    """Labels [n] as agreement compares them: scores, or names of categories, None without one."""
    scores = scores_of(answers, name, attribute)
    if attribute.values is not None:
        return scores
    known = [attribute.labels[int(s)] if not np.isnan(s) else None for s in scores]
    return np.array(known, dtype=object)


def _gold(name: str, attribute: Attribute, checked: CheckedAnswers, gold: Gold) -> Any:
    judged = given(checked.answers["gold"], name, attribute)
    sizes = np.array([len(text.encode()) for text in gold.texts])
    groups = {"source": gold.sources, "language": gold.languages, "length": length_groups(sizes)}
    groups = {k: v for k, v in groups.items() if k == "length" or any(x is not None for x in v)}
    ordered = attribute.values is not None
    threshold = checked.threshold
    if threshold is None:
        threshold = float(attribute.labels[len(attribute.labels) // 2]) if ordered else 0.0
    figures = against_gold(
        judged, gold.labels, groups, attribute.labels, ordered, threshold, checked.seed
    )
    ids = [f"gold line {number}" for number in range(1, len(gold.texts) + 1)]
    sources = [source or "" for source in gold.sources.tolist()]
    apart = disagreements(ids, sources, gold.texts, gold.labels, judged, attribute.labels, ordered)
    return figures, apart


def _paired(
    name: str, attribute: Attribute, first: Sequence[Answer], second: Sequence[Answer], seed: int
) -> dict[str, Any]:
    """The beginning of ``first`` against ``second``."""
    a, b = (scores_of(answers, name, attribute) for answers in (first[: len(second)], second))
    if attribute.values is None:
        return paired_categories(a, b, seed)
    return paired_scores(a, b, attribute.values, seed)


def _injection_metrics(
    name: str, attribute: Attribute, checked: CheckedAnswers
) -> list[dict[str, Any]]:
    """Of a scale the score; of categories the probability of the one that is asked for."""
    values = attribute.values
    columns = [
        scores_of(checked.answers[purpose], name, attribute)
        if values is not None
        else probabilities_of(checked.answers[purpose], name, len(attribute.labels))[:, -1]
        for purpose in ("original", "injected", "benign")
    ]
    span = values[-1] - values[0] if values is not None else 1.0
    documents = [item.document for item in checked.injected]
    kinds = [item.kind for item in checked.injected]
    return injections(documents, kinds, columns[0], columns[1], columns[2], span, checked.seed)
