"""Facts of a whole labelling: a judge of educational value, simulated on real documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from classifiers.agreement.injection_probes import KINDS
from classifiers.agreement.label_agreement import (
    AgreementMetrics,
    AttributeMetrics,
    against_gold,
    disagreements,
    length_groups,
    spread,
)
from classifiers.agreement.paired_effects import injections, paired_categories, paired_scores

GRADES = ["0", "1", "2", "3", "4", "5"]
TOPICS = ["law", "medicine", "mathematics", "everyday life"]
SCALE = [float(grade) for grade in GRADES]
DOMAINS = {"edu": 3.6, "wiki": 3.0, "law": 1.8, "dialog": 1.0}


def graded(documents: list[dict[str, Any]]) -> AttributeMetrics:
    """A scale: the judge is a little mild, noisy, and obeys what stands in HTML comments."""
    random = np.random.default_rng(3)
    sources = np.array([document["source"] for document in documents])
    texts = [document["text"] for document in documents]
    wanted = np.array([DOMAINS[source] for source in sources])
    gold = np.round(np.clip(random.normal(wanted, 1.1), 0, 5))
    scores = np.clip(gold * 0.7 + 0.9 + random.normal(0, 0.7, len(gold)), 0, 5)
    scores[:3] = np.nan
    groups = {
        "source": sources,
        "length": length_groups(np.array([len(text.encode()) for text in texts])),
    }
    some = scores[10:90]
    kinds = np.tile(list(KINDS), 60)
    names = np.repeat([f"d{n}" for n in range(60)], len(KINDS))
    original = np.repeat(scores[10:70], len(KINDS))
    benign = np.clip(original - random.exponential(0.2, len(kinds)), 0, 5)
    obeyed = (kinds == "HTML comment") & (random.random(len(kinds)) < 0.5)
    injected = np.clip(original - random.exponential(0.2, len(kinds)) + 2 * obeyed, 0, 5)

    def again(shift: float, noise: float) -> dict[str, Any]:
        other = np.clip(some + random.normal(shift, noise, len(some)), 0, 5)
        return paired_scores(some, other, SCALE, seed=1)

    return AttributeMetrics(
        labels=GRADES,
        ordered=True,
        asked=len(scores),
        labelled=int((~np.isnan(scores)).sum()),
        spread=spread(scores, sources, GRADES, True, seed=1),
        gold=against_gold(scores, gold, groups, GRADES, True, threshold=3, seed=1),
        disagreements=disagreements(
            [f"{source}-{n}" for n, source in enumerate(sources)],
            sources.tolist(), texts, gold, scores, GRADES, True,
        ),
        retest=again(0, 0.01),
        position=again(0.6, 0.3),
        truncation=again(-0.2, 0.5),
        other_judge=again(-0.5, 0.8),
        injection_probes=injections(
            names.tolist(), kinds.tolist(), original, injected, benign, span=5, seed=1
        ),
    )  # fmt: skip


def sorted_by_topic(documents: list[dict[str, Any]]) -> AttributeMetrics:
    """Categories, some wrong, some missing, and no injection probes."""
    random = np.random.default_rng(4)
    sources = np.array([document["source"] for document in documents])
    gold = np.array(TOPICS, dtype=object)[random.integers(0, 4, len(documents))]
    wrong = random.random(len(documents)) < 0.25
    given = np.where(wrong, "everyday life", gold).astype(object)
    given[5] = None
    groups = {"source": sources}
    return AttributeMetrics(
        labels=TOPICS,
        ordered=False,
        asked=len(documents),
        labelled=len(documents) - 1,
        spread=spread(given, sources, TOPICS, False, seed=1),
        gold=against_gold(given, gold, groups, TOPICS, False, threshold=3, seed=1),
        disagreements=disagreements(
            [str(n) for n in range(len(documents))], sources.tolist(),
            [document["text"] for document in documents], gold, given, TOPICS, False,
        ),
        retest=paired_categories(given, np.where(wrong, gold, given), seed=1),
    )  # fmt: skip


@pytest.fixture(scope="session")
def documents(read_domain: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Real documents with their domain as ``source``."""
    return [
        {"text": row["text"], "source": domain}
        for domain in DOMAINS
        for row in read_domain(f"domains/{domain}", 90)
    ]


@pytest.fixture(scope="session")
def grades_alone(documents: list[dict[str, Any]]) -> AgreementMetrics:
    return AgreementMetrics(
        judge="models/judge at 0f3c",
        rubric="educational_value 1",
        other_judge="models/other at 77aa",
        attributes={"educational_value": graded(documents)},
    )


@pytest.fixture(scope="session")
def grades_and_topics(documents: list[dict[str, Any]]) -> AgreementMetrics:
    attributes = {"value": graded(documents), "topic": sorted_by_topic(documents)}
    return AgreementMetrics(judge="models/judge", rubric="both 2", attributes=attributes)
