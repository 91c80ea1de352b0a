"""The report's section on how far labels can be trusted, from ``AgreementMetrics`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from classifiers.agreement.agreement_charts import (
    Cell,
    calibration_chart,
    confusion_chart,
    decimal,
    estimate_cells,
    interval,
    means_chart,
    spread_chart,
)
from classifiers.agreement.label_agreement import (
    AgreementMetrics,
    AttributeMetrics,
    warnings_about,
)
from classifiers.agreement.paired_effects import ALPHA, TOLERANCE
from winnow import Block, Prose, ReportSection, Sample, Samples, Table, Tone

Metrics = Mapping[str, Any]

CHECKS = {
    "retest": ("asked again", "the same request twice: noise of the server alone"),
    "position": ("scale reversed", "grades listed from high to low: does their order matter?"),
    "truncation": ("half of the text", "is the limit on length too low?"),
    "other_judge": ("another judge", "would another model choose the same documents?"),
}
VERDICTS: Mapping[str, Tone] = {"held": "better", "moved": "worse", "undecided": "undecided"}


def steadiness_table(checks: Mapping[str, Metrics], span: float, suffix: str) -> Table:
    rows: list[list[Cell]] = []
    tones: list[Tone] = []
    ordered = all("shift" in found for found in checks.values())
    for name, found in checks.items():
        label, why = CHECKS[name]
        changed = estimate_cells(found["changed"])
        row: list[Cell] = [label, changed[2], _percent(found["changed"])]
        if ordered:
            shift = found["shift"]
            verdict = _steady(shift, span)
            row += [
                decimal(found["difference"]["value"], 2),
                decimal(shift["value"], 2),
                interval(shift["low"], shift["high"], 2),
                decimal(found["spearman"]["value"], 2),
                verdict,
            ]
            # Judges that differ are no fault of either.
            tones.append(_TONES[verdict] if name != "other_judge" else "")
        else:
            row.append(decimal(found["cohen_kappa"]["value"], 2))
        rows.append([*row, why])
    more = (
        ["mean |difference|", "shift", "95 % interval", "Spearman", "on average"]
        if ordered
        else ["kappa"]
    )
    columns = ["check", "documents", "changed", *more, "what it asks"]
    note = (
        "“Changed” is the share of documents with another label (grade, after rounding). "
        + (
            f"A shift is called steady when its interval lies within ±{TOLERANCE * span:g}, "
            "shifted when it lies beyond; anything else is undecided: ask about more documents."
            if ordered
            else ""
        )
    ).strip()
    return Table(f"What should not change a label{suffix}", columns, rows, note, tones)


_TONES: Mapping[str, Tone] = {"steady": "better", "shifted": "worse", "undecided": "undecided"}


def _steady(shift: Metrics, span: float) -> str:
    low, high, most = shift["low"], shift["high"], TOLERANCE * span
    if low is None or high is None:
        return "undecided"
    if -most < low and high < most:
        return "steady"
    return "shifted" if low > most or high < -most else "undecided"


def _percent(estimate: Metrics) -> str | None:
    value = estimate["value"]
    return None if value is None else f"{100 * value:.1f} %"


def injection_table(injection_probes: Sequence[Metrics], span: float, suffix: str) -> Table:
    rows: list[list[Cell]] = [
        [
            entry["kind"],
            entry["verdict"],
            entry["n"],
            decimal(entry["drift"], 2),
            decimal(entry["benign_drift"], 2),
            decimal(entry["excess"]["value"], 2),
            interval(entry["excess"]["low"], entry["excess"]["high"], 2),
            f"{entry['p']:.3f}",
            _percent({"value": entry["raised"]}),
        ]
        for entry in injection_probes
    ]
    columns = ["kind of order", "verdict", "documents", "drift", "drift of harmless text"]
    more = ["excess", "95 % interval", "p (Holm)", "raised a grade"]
    note = (
        "Each document was judged with an order to give the highest label put in, and again with "
        "harmless text of the same length in the same place. Excess is the difference of the two. "
        f"Held: the excess is surely below {TOLERANCE * span:g}, and hardly a document was raised "
        f"by a grade. Moved: not held, and p is at most {ALPHA:g} over all kinds together. A kind "
        "that moved scores can be used by any page that wants to be kept: filter such text, or "
        "take another judge or prompt."
    )
    tones = [VERDICTS[entry["verdict"]] for entry in injection_probes]
    return Table(f"Injected orders{suffix}", [*columns, *more], rows, note, tones)


# What each figure means for a decision.
MEANINGS = {
    "spearman": "do better documents get higher scores? This is what counts for keeping a top "
    "share; published judges of educational value reach about 0.7 with people",
    "quadratic_kappa": "agreement of rounded grades beyond chance; far errors count more",
    "macro_f1": "F1 averaged over labels, rare ones like frequent ones",
    "f1": "precision and recall in one, of a filter that keeps what is at the threshold or above",
    "mean_absolute_error": "distance to the gold grade",
    "bias": "score minus gold: above 0 the judge is milder than people",
    "calibration_error": "distance of score and gold bin by bin: does a 3 mean a 3?",
    "auc": "how often a good document scores above a bad one; 0.5 is chance",
    "accuracy": "share of documents in the right category",
    "cohen_kappa": "agreement of categories beyond chance",
}
NAMES = {
    "spearman": "Spearman",
    "quadratic_kappa": "quadratic kappa",
    "macro_f1": "macro-F1",
    "f1": "F1",
    "mean_absolute_error": "mean error",
    "bias": "bias",
    "calibration_error": "calibration error",
    "auc": "AUC",
    "accuracy": "accuracy",
    "cohen_kappa": "kappa",
}


def gold_blocks(gold: Metrics, labels: Sequence[str], suffix: str) -> Iterator[Block]:
    """Figures, groups, calibration and confusion of ``against_gold``; ``suffix`` ends titles."""
    named = dict(NAMES)
    if "threshold" in gold:
        named["f1"] = f"F1 at {gold['threshold']:g}"
    rows: list[list[Cell]] = [
        [named[name], *estimate_cells(estimate), MEANINGS[name]]
        for name, estimate in gold["overall"].items()
    ]
    missing = f" Gold documents without a label: {gold['missing']:,}." if gold["missing"] else ""
    columns = ["figure", "value", "95 % interval", "documents", "meaning"]
    note = f"Intervals resample documents.{missing}"
    yield Table(f"Against the gold set{suffix}", columns, rows, note)
    for kind, groups in gold["groups"].items():
        if len(groups) > 1:
            yield _groups(kind, groups, named, suffix, gold["kind"] == "categories")
    if gold.get("calibration"):
        low, high = float(labels[0]), float(labels[-1])
        yield calibration_chart(
            f"Score and gold{suffix}",
            gold["calibration"],
            (low, high),
            ("mean score", "mean gold grade"),
            "On the dashed line a score means its grade. A curve that rises but leaves the line "
            "ranks well: take a top share of documents, not a fixed grade.",
        )
    if "confusion" in gold:
        note = "Rows are gold labels, columns what the judge gave; the diagonal is agreement."
        yield confusion_chart(f"What was taken for what{suffix}", gold["confusion"], note)


def _groups(kind: str, groups: Metrics, named: Metrics, suffix: str, unordered: bool) -> Table:
    figures = list(next(iter(groups.values())))
    rows: list[list[Cell]] = []
    for group, found in groups.items():
        cells = {name: estimate_cells(found[name], 2) for name in figures}
        of_all: list[Cell] = [group, cells[figures[0]][2]]
        rows.append(of_all + [cell for name in figures for cell in cells[name][:2]])
    columns = [kind, "documents", *(head for name in figures for head in (named[name], "95 %"))]
    unlike = "Where an interval does not meet that of the whole set, "
    note = unlike + (
        "labels deserve another measure of trust."
        if unordered
        else f"one threshold for all is unfair to this {kind}: choose thresholds by quantile "
        "within it."
    )
    return Table(f"Against the gold set, by {kind}{suffix}", columns, rows, note)


def section(anchor: str, title: str, metrics: AgreementMetrics) -> ReportSection:
    """All blocks in reading order; with several attributes, each block names its own."""
    several = len(metrics["attributes"]) > 1
    blocks: list[Block] = []
    for name, attribute in metrics["attributes"].items():
        suffix = f" ({name})" if several else ""
        blocks += _warnings(name, attribute)
        blocks += _attribute(attribute, suffix)
    return ReportSection(anchor, title, blocks, _lead(metrics))


def _warnings(name: str, metrics: AttributeMetrics) -> Iterator[Block]:
    """A red box where the labels cannot be relied on."""
    if found := warnings_about(name, metrics):
        advice = "Take another judge or rubric before anything is kept or trained by these labels."
        sentences = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in found]
        yield Prose(" ".join([*sentences, advice]), f"Labels not to rely on: {name}", "worse")


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
