"""The report's section on how far labels can be trusted, from ``AgreementFacts`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from classifiers.agreement.agreement_charts import means_chart, spread_chart
from classifiers.agreement.attribute_metrics import AgreementMetrics, AttributeMetrics
from classifiers.agreement.cells import Cell, decimal, estimate_cells, interval
from classifiers.agreement.check_blocks import CHECKS, injection_table, steadiness_table
from classifiers.agreement.gold_blocks import NAMES, gold_blocks
from winnow import Block, Prose, ReportSection, Sample, Samples, Table


def section(anchor: str, title: str, metrics: AgreementMetrics) -> ReportSection:
    """All blocks in reading order; with several attributes, each block names its own."""
    several = len(metrics["attributes"]) > 1
    blocks: list[Block] = []
    for name, attribute in metrics["attributes"].items():
        suffix = f" ({name})" if several else ""
        blocks += _attribute(attribute, suffix)
    return ReportSection(anchor, title, blocks, _lead(metrics))


def _lead(metrics: AgreementMetrics) -> str:
    asked = max((a["asked"] for a in metrics["attributes"].values()), default=0)
    sentences = [
        f"{asked:,} documents judged by `{metrics['judge']}` by rubric `{metrics['rubric']}`."
    ]
    for name, attribute in metrics["attributes"].items():
        sentences.append(f"`{name}`: {'; '.join(_in_short(attribute))}.")
    if "other_judge" in metrics:
        sentences.append(f"The other judge is `{metrics['other_judge']}`.")
    return " ".join(sentences)


def _in_short(metrics: AttributeMetrics) -> Iterator[str]:
    if (gold := metrics.get("gold")) is not None:
        name, estimate = next(iter(gold["overall"].items()))
        value = decimal(estimate["value"], 2)
        if value is None:
            yield f"agreement with {gold['n']:,} gold documents is not known ({estimate['why']})"
        else:
            between = interval(estimate["low"], estimate["high"], 2)
            limits = f" (95 % interval {between})" if between else ""
            yield f"{NAMES[name]} with {gold['n']:,} gold documents {value}{limits}"
    else:
        yield "no gold set, so nothing is known of how people would have judged"
    if probes := metrics.get("injection_probes"):
        moved = [entry["kind"] for entry in probes if entry["verdict"] == "moved"]
        held = sum(entry["verdict"] == "held" for entry in probes)
        if moved:
            yield f"injected orders moved scores: {', '.join(moved)}"
        else:
            yield f"of {len(probes)} kinds of injected orders none moved scores, {held} surely"


def _attribute(metrics: AttributeMetrics, suffix: str) -> Iterator[Block]:
    span = _span(metrics)
    if (gold := metrics.get("gold")) is not None:
        yield from gold_blocks(gold, metrics["labels"], suffix)
    else:
        yield Prose(
            "Whether these labels agree with people is not known: no gold set was given. A few "
            "hundred documents graded by hand decide more than any figure below.",
            title=f"No gold set{suffix}",
        )
    yield spread_chart(f"Labels by source{suffix}", metrics["spread"])
    if "means" in metrics["spread"]:
        domain = (float(metrics["labels"][0]), float(metrics["labels"][-1]))
        yield means_chart(f"Mean score by source{suffix}", metrics["spread"]["means"], domain)
    yield _sources(metrics, suffix)
    everything: Mapping[str, Any] = metrics
    checks = {name: everything[name] for name in CHECKS if name in everything}
    if checks:
        yield steadiness_table(checks, span, suffix)
    if probes := metrics.get("injection_probes"):
        yield injection_table(probes, span, suffix)
    if apart := metrics.get("disagreements"):
        samples = [
            Sample(
                one["id"],
                one["text"],
                {name: one[name] for name in ("gold", "given", "source")},
            )
            for one in apart
        ]
        yield Samples(f"Furthest from gold{suffix}", samples)


def _span(metrics: AttributeMetrics) -> float:
    return float(metrics["labels"][-1]) - float(metrics["labels"][0]) if metrics["ordered"] else 1.0


def _sources(metrics: AttributeMetrics, suffix: str) -> Table:
    spread = metrics["spread"]
    note = f"{metrics['labelled']:,} of {metrics['asked']:,} documents got a label."
    if "means" in spread:
        rows: list[list[Cell]] = [
            [name, mean["n"], *estimate_cells(mean, 2)[:2]]
            for name, mean in spread["means"].items()
        ]
        columns = ["source", "labelled", "mean score", "95 % interval"]
    else:
        rows = [
            [name, sum(counts), spread["bins"][max(range(len(counts)), key=counts.__getitem__)]]
            for name, counts in spread["sources"].items()
        ]
        columns = ["source", "labelled", "most frequent"]
    return Table(f"Labels by source, in numbers{suffix}", columns, rows, note)
