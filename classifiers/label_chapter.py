"""What the report tells of a label step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from classifiers.agreement.chapter import chapter
from classifiers.agreement.facts import AgreementFacts
from pipeline.panel import Chapter, Table


def chapters(label: str, facts: Mapping[str, Any]) -> Sequence[Chapter]:
    """How far the labels can be trusted, and what they have cost."""
    agreement = chapter(label, f"Agreement: {label}", cast(AgreementFacts, facts["agreement"]))
    cost = facts["cost"]
    rows: list[list[str | int | float | None]] = [
        ["labels", cost["labels"]],
        ["prompt tokens", cost["prompt_tokens"]],
        ["generated tokens", cost["completion_tokens"]],
        ["tokens per label", round(_tokens(cost) / max(cost["labels"], 1), 1)],
        *[[f"without a label: {code}", count] for code, count in facts["errors"].items()],
    ]
    note = (
        "Labels of all checks counted, each once; some may have been bought by earlier runs. Time "
        "and money of the servers are in the label store: winnow label --costs."
    )
    table = Table("What these labels cost", ["", "count"], rows, note)
    return [Chapter(agreement.anchor, agreement.title, [*agreement.panels, table], agreement.lead)]


def _tokens(cost: Mapping[str, int]) -> int:
    return cost["prompt_tokens"] + cost["completion_tokens"]
