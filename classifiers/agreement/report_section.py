"""The report's section on how far labels can be trusted, from ``AgreementFacts`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from classifiers.agreement.cells import Cell, decimal, estimate_cells, interval
from classifiers.agreement.charts import means_chart, spread_chart
from classifiers.agreement.check_blocks import CHECKS, canary_table, steadiness_table
from classifiers.agreement.facts import AgreementFacts, AttributeFacts
from classifiers.agreement.gold_blocks import NAMES, gold_blocks
from winnow import Block, Prose, ReportSection, Sample, Samples, Table


def section(anchor: str, title: str, facts: AgreementFacts) -> ReportSection:
    """All blocks in reading order; with several attributes, each block names its own."""
    several = len(facts["attributes"]) > 1
    blocks: list[Block] = []
    for name, attribute in facts["attributes"].items():
        suffix = f" ({name})" if several else ""
        blocks += _attribute(attribute, suffix)
    return ReportSection(anchor, title, blocks, _lead(facts))


def _lead(facts: AgreementFacts) -> str:
    asked = max((a["asked"] for a in facts["attributes"].values()), default=0)
    sentences = [f"{asked:,} documents judged by `{facts['judge']}` by rubric `{facts['rubric']}`."]
    for name, attribute in facts["attributes"].items():
        sentences.append(f"`{name}`: {'; '.join(_in_short(attribute))}.")
    if "other_judge" in facts:
        sentences.append(f"The other judge is `{facts['other_judge']}`.")
    return " ".join(sentences)


def _in_short(facts: AttributeFacts) -> Iterator[str]:
    if (gold := facts.get("gold")) is not None:
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
    if canaries := facts.get("canaries"):
        moved = [entry["kind"] for entry in canaries if entry["verdict"] == "moved"]
        held = sum(entry["verdict"] == "held" for entry in canaries)
        if moved:
            yield f"injected orders moved scores: {', '.join(moved)}"
        else:
            yield f"of {len(canaries)} kinds of injected orders none moved scores, {held} surely"


def _attribute(facts: AttributeFacts, suffix: str) -> Iterator[Block]:
    span = _span(facts)
    if (gold := facts.get("gold")) is not None:
        yield from gold_blocks(gold, facts["labels"], suffix)
    else:
        yield Prose(
            "Whether these labels agree with people is not known: no gold set was given. A few "
            "hundred documents graded by hand decide more than any figure below.",
            title=f"No gold set{suffix}",
        )
    yield spread_chart(f"Labels by source{suffix}", facts["spread"])
    if "means" in facts["spread"]:
        domain = (float(facts["labels"][0]), float(facts["labels"][-1]))
        yield means_chart(f"Mean score by source{suffix}", facts["spread"]["means"], domain)
    yield _sources(facts, suffix)
    everything: Mapping[str, Any] = facts
    checks = {name: everything[name] for name in CHECKS if name in everything}
    if checks:
        yield steadiness_table(checks, span, suffix)
    if canaries := facts.get("canaries"):
        yield canary_table(canaries, span, suffix)
    if apart := facts.get("disagreements"):
        samples = [
            Sample(
                one["id"],
                one["text"],
                {name: one[name] for name in ("gold", "given", "source")},
            )
            for one in apart
        ]
        yield Samples(f"Furthest from gold{suffix}", samples)


def _span(facts: AttributeFacts) -> float:
    return float(facts["labels"][-1]) - float(facts["labels"][0]) if facts["ordered"] else 1.0


def _sources(facts: AttributeFacts, suffix: str) -> Table:
    spread = facts["spread"]
    note = f"{facts['labelled']:,} of {facts['asked']:,} documents got a label."
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
