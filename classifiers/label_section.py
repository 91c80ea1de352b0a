"""The report's section on a label step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from classifiers.agreement.agreement_section import section
from classifiers.agreement.label_agreement import AgreementMetrics
from winnow import ReportSection, Table


def sections(label: str, metrics: Mapping[str, Any]) -> Sequence[ReportSection]:
    """How far the labels can be trusted, and what they have cost."""
    agreement = section(label, f"Agreement: {label}", cast(AgreementMetrics, metrics["agreement"]))
    cost = metrics["cost"]
    rows: list[list[str | int | float | None]] = [
        ["labels", cost["labels"]],
        ["prompt tokens", cost["prompt_tokens"]],
        ["generated tokens", cost["completion_tokens"]],
        ["tokens per label", round(_tokens(cost) / max(cost["labels"], 1), 1)],
        *[[f"without a label: {code}", count] for code, count in metrics["errors"].items()],
    ]
    note = (
        "Labels of all checks counted, each once; some may have been bought by earlier runs. Time "
        "and money of the servers are in the label store: winnow label --costs."
    )
    table = Table("What these labels cost", ["", "count"], rows, note)
    return [
        ReportSection(agreement.anchor, agreement.title, [*agreement.blocks, table], agreement.lead)
    ]


def _tokens(cost: Mapping[str, int]) -> int:
    return cost["prompt_tokens"] + cost["completion_tokens"]
