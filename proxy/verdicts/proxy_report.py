"""The report's sections about mixes, training and the verdict, from committed files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import altair as alt
import numpy as np
import orjson
import pyarrow.parquet as pq

from proxy.mixing.split import REPEAT_SIMILARITY, SPLITS
from proxy.mixing.targets import AGGREGATE
from proxy.proxy_warnings import mix_warnings, target_warnings
from proxy.training.trial import CURVE
from proxy.verdicts.comparison import Comparison
from proxy.verdicts.verdict import VERDICT, confidence, interval, signed
from winnow import Block, Chart, Prose, Receipt, ReportSection, StageOutputs, Table

CURVE_POINTS = 200
Cell = str | int | float | None
Metrics = dict[str, Any]


def sections(stages: Mapping[str, StageOutputs]) -> list[ReportSection]:
    """Sections in reading order; ``stages`` are the extension's, complete, by name."""
    found = []
    if "verdict" in stages:
        found.append(_verdict(stages["verdict"], stages["trial"]))
    found.append(_mixes(stages["mix"], stages["tokenise"]))
    if "trial" in stages:
        found.append(_training(stages["trial"], stages["mix"]))
        found.append(_evaluation(stages["held_out"], stages["split"], stages["evaluation"]))
    return found


def _verdict(verdict: StageOutputs, trial: StageOutputs) -> ReportSection:
    (path,) = verdict.outputs(VERDICT)
    document = orjson.loads(path.read_bytes())
    comparisons = [Comparison(**comparison) for comparison in document["comparisons"]]
    primary = [comparison for comparison in comparisons if comparison.primary]
    secondary = [comparison for comparison in comparisons if not comparison.primary]
    metrics = [receipt.metrics for receipt in trial.receipts()]
    blocks: list[Block] = [_comparisons("Mixes against the baseline", primary, _HOW_TO_READ)]
    if comparisons:
        blocks.append(_forest(comparisons))
    blocks.append(_scores(document))
    if secondary:
        note = "Each target by itself: a family of comparisons of its own, beside those above."
        blocks.append(_comparisons("By target", secondary, note))
    blocks.append(Prose(_price(metrics), title="What it cost"))
    return ReportSection("verdict", "Verdict", blocks, lead=_lead(primary, document["baseline"]))


def _lead(primary: Sequence[Comparison], baseline: str) -> str:
    counts = ", ".join(
        f"{sum(comparison.decision == kind for comparison in primary)} {kind}"
        for kind in ("better", "worse", "undecided")
    )
    return f"{_count(len(primary), 'mix', 'mixes')} against `{baseline}`: {counts}."


_HOW_TO_READ = (
    "Δ is the difference to the baseline in bits per byte, the plain mean over all targets: below "
    "zero the mix is better. It is paired over seeds and documents. The interval is at the level "
    "at which Holm's procedure tested it, so that the chance of any wrong verdict in this table is "
    "at most 5 %. “Could be found” is the difference that these trials would find four times out "
    "of five."
)


def _comparisons(title: str, comparisons: Sequence[Comparison], note: str) -> Table:
    columns = ["mix", "target", "verdict", "Δ", "interval", "confidence", "p (Holm)"]
    rows: list[list[Cell]] = [
        [
            comparison.mix,
            _target(comparison),
            comparison.decision,
            signed(comparison.delta),
            interval(comparison),
            confidence(comparison),
            f"{comparison.p_adjusted:.2g}",
            None if comparison.mde is None else f"{comparison.mde:.4f}",
            comparison.seeds,
            comparison.documents,
        ]
        for comparison in comparisons
    ]
    tones = [comparison.decision for comparison in comparisons]
    return Table(title, [*columns, "could be found", "seeds", "documents"], rows, note, tones)


def _target(comparison: Comparison) -> str:
    return "all targets" if comparison.primary else comparison.target


def _forest(comparisons: Sequence[Comparison]) -> Chart:
    rows = [
        {
            "mix": comparison.mix,
            "target": _target(comparison),
            "delta": comparison.delta,
            "low": comparison.low,
            "high": comparison.high,
        }
        for comparison in comparisons
    ]
    order = list(dict.fromkeys(str(row["target"]) for row in rows))
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("target:N", sort=order, title=None),
        color=alt.Color("mix:N", title="mix", sort=None),
        yOffset=alt.YOffset("mix:N", sort=None),
    )
    layers = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title="Δ bits per byte (left of zero: better)"), x2="high:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(x="delta:Q"),
        alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 3]).encode(x="zero:Q"),
    )
    spec = layers.properties(height=alt.Step(12)).to_dict()
    words = "; ".join(f"{c.mix} on {_target(c)} {signed(c.delta)}" for c in comparisons)
    return Chart("Differences and their intervals", spec, f"Differences to the baseline: {words}.")


def _scores(document: Metrics) -> Table:
    """Mean bits per byte over seeds, a row per mix and a column per target."""
    scores: dict[str, list[dict[str, float]]] = {}
    for entry in document["bits_per_byte"]:
        scores.setdefault(entry["mix"], []).append(entry["targets"])
    targets = list(next(iter(scores.values()))[0])
    rows: list[list[Cell]] = [
        [mix, *(f"{np.mean([seed[target] for seed in seeds]):.4f}" for target in targets)]
        for mix, seeds in scores.items()
    ]
    columns = ["mix", *("all targets" if t == AGGREGATE else t for t in targets)]
    return Table("Bits per byte, mean over seeds", columns, rows, "Lower is better.")


def _price(metrics: Sequence[Metrics]) -> str:
    tokens, flops = sum(f["tokens"] for f in metrics), sum(f["flops"] for f in metrics)
    parameters = metrics[0]["parameters"]
    return (
        f"{_count(len(metrics), 'trial')} of {parameters:,} parameters, {tokens:,} tokens and "
        f"{flops:.3g} floating-point operations in all."
    )


def _mixes(mix: StageOutputs, tokenise: StageOutputs) -> ReportSection:
    receipts = mix.receipts()
    warnings = mix_warnings(receipt.metrics for receipt in receipts)
    blocks: list[Block] = []
    if warnings:
        text = "\n\n".join(f"{w[:1].upper()}{w[1:]}." for texts in warnings.values() for w in texts)
        blocks.append(Prose(text, title="What to know of these mixes"))
    blocks += [_composition(receipts), _sampled(receipts), _training_side(tokenise)]
    first = {str(receipt.metrics["mix"]) for receipt in receipts}
    mixes = _count(len(first), "mix", "mixes")
    lead = f"{mixes} over the documents that were kept and may be trained on."
    return ReportSection("mixes", "Mixes", blocks, lead=lead)


def _first_of_mix(receipts: Sequence[Receipt]) -> list[Metrics]:
    """Metrics of the first seed of each mix; seeds differ in documents, not in shares."""
    firsts: dict[str, Metrics] = {}
    for receipt in receipts:
        firsts.setdefault(str(receipt.metrics["mix"]), receipt.metrics)
    return list(firsts.values())


def _composition(receipts: Sequence[Receipt]) -> Chart:
    rows = [
        {
            "mix": metrics["mix"],
            "source": component["component"],
            "tokens": component["tokens"],
            "order": number,
        }
        for metrics in _first_of_mix(receipts)
        for number, component in enumerate(metrics["components"])
    ]
    # The house palette has eight colours; more components need more, or two would share one.
    many = len({row["source"] for row in rows}) > 8
    scale = alt.Scale(scheme="tableau20") if many else alt.Undefined
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            y=alt.Y("mix:N", sort=None, title=None),
            x=alt.X(
                "tokens:Q", stack="normalize", title="share of tokens", axis=alt.Axis(format="%")
            ),
            color=alt.Color("source:N", sort=None, title="component", scale=scale),
            order=alt.Order("order:Q"),
        )
    )
    words = "; ".join(
        f"{metrics['mix']}: "
        + ", ".join(
            f"{p['component']} {_percent(p['tokens'], metrics['tokens'])}"
            for p in metrics["components"]
        )
        for metrics in _first_of_mix(receipts)
    )
    return Chart("What the mixes are made of", chart.to_dict(), f"{words}.")


def _sampled(receipts: Sequence[Receipt]) -> Table:
    columns = ["mix", "component", "wanted", "tokens", "share", "documents", "epochs", "scores"]
    rows: list[list[Cell]] = [
        [
            metrics["mix"],
            component["component"],
            component["wanted"],
            component["tokens"],
            _percent(component["tokens"], metrics["tokens"]),
            component["documents"],
            round(component["epochs"], 3),
            _scores_between(component),
        ]
        for metrics in _first_of_mix(receipts)
        for component in metrics["components"]
    ]
    note = (
        "Tokens of the first seed; the others sample as many tokens from other documents first. "
        "Scores are those at the token-weighted quantiles that bound a bucket."
    )
    return Table("Wanted and sampled", columns, rows, note)


def _scores_between(component: Metrics) -> str | None:
    low, high = component["low"], component["high"]
    if low is None and high is None:
        return None
    if high is None:
        return f"≥ {low:.4g}"
    return f"< {high:.4g}" if low is None else f"{low:.4g} to {high:.4g}"


def _training_side(tokenise: StageOutputs) -> Table:
    totals: dict[str, list[int]] = {}
    for receipt in tokenise.receipts():
        for source, tally in cast(Metrics, receipt.metrics["sources"]).items():
            old = totals.setdefault(source, [0, 0, 0])
            totals[source] = [a + b for a, b in zip(old, tally, strict=True)]
    rows: list[list[Cell]] = [
        [source, documents, tokens, size, round(size / tokens, 2) if tokens else None]
        for source, (documents, tokens, size) in totals.items()
    ]
    columns = ["source", "documents", "tokens", "bytes", "bytes per token"]
    return Table("The training side", columns, rows)


def _training(trial: StageOutputs, mix: StageOutputs) -> ReportSection:
    points = []
    names = {receipt.key: receipt.metrics for receipt in mix.receipts()}
    rows: list[list[Cell]] = []
    for receipt in trial.receipts():
        mix_name, metrics = str(names[receipt.key]["mix"]), cast(Metrics, receipt.metrics)
        (path,) = (p for p in trial.outputs(key=receipt.key) if p.name == CURVE)
        points += [
            {"mix": mix_name, "trial": receipt.key, "tokens": tokens, "loss": loss}
            for tokens, loss in _thinned(pq.read_table(path, columns=["tokens", "loss"]))
        ]
        rows.append(
            [
                receipt.key,
                metrics["tokens"],
                metrics["steps"],
                f"{metrics['learning_rate']:.3g}",
                f"{metrics['final_loss']:.4f}",
                f"{metrics['flops']:.3g}",
                str(metrics["device"]),
            ]
        )
    chart = (
        alt.Chart(alt.Data(values=points))
        .mark_line(strokeWidth=1, opacity=0.8)
        .encode(
            x=alt.X("tokens:Q", title="tokens trained on"),
            y=alt.Y("loss:Q", title="training loss (nats per token)", scale=alt.Scale(zero=False)),
            color=alt.Color("mix:N", sort=None, title="mix"),
            detail="trial:N",
        )
    )
    columns = ["trial", "tokens", "steps", "learning rate", "final loss", "FLOPs", "device"]
    alt_text = "Training loss against tokens, one line per trial. " + "; ".join(
        f"{row[0]} ends at {row[4]}" for row in rows
    )
    note = "Each mix is measured on its own text here: losses of two mixes do not compare."
    return ReportSection(
        "training",
        "Training",
        [
            Chart("Training loss", chart.to_dict(), alt_text, note),
            Table("Trials", columns, rows),
        ],
    )


def _thinned(curve: Any) -> list[tuple[int, float]]:
    """At most CURVE_POINTS points, each the mean loss of equally many steps."""
    tokens, loss = curve["tokens"].to_numpy(), curve["loss"].to_numpy()
    bounds = np.linspace(0, len(loss), min(CURVE_POINTS, len(loss)) + 1).astype(int)
    return [
        (int(tokens[end - 1]), round(float(loss[begin:end].mean()), 4))
        for begin, end in pairwise(bounds)
    ]


def _evaluation(
    held_out: StageOutputs, split: StageOutputs, evaluation: StageOutputs
) -> ReportSection:
    targets = cast(Metrics, held_out.receipts()[0].metrics["targets"])
    encoded = cast(Metrics, evaluation.receipts()[0].metrics["targets"])
    rows: list[list[Cell]] = [
        [
            target,
            "file" if metrics["external"] else "held out",
            metrics["documents"],
            encoded[target][1],
            metrics["bytes"],
        ]
        for target, metrics in targets.items()
    ]
    totals: dict[str, dict[str, int]] = {}
    for receipt in split.receipts():
        for source, of_source in cast(Metrics, receipt.metrics["split"]).items():
            total = totals.setdefault(source, dict.fromkeys(SPLITS, 0))
            for name, (documents, _) in of_source.items():
                total[name] += documents
    sides: list[list[Cell]] = [
        [source, sum(total.values()), *(total[name] for name in SPLITS)]
        for source, total in totals.items()
    ]
    removed = sum(total["removed"] for total in totals.values())
    note = (
        "A document is removed from training when it holds half or more of the distinctive word "
        "5-grams of a held-out document (whole, or what is scored of it), or when their Jaccard "
        f"similarity is {REPEAT_SIMILARITY} or more. Every pair was counted; nothing was sampled."
    )
    warnings = [Prose(f"{w[:1].upper()}{w[1:]}.", tone="warning") for w in target_warnings(targets)]
    return ReportSection(
        "evaluation",
        "Evaluation side",
        [
            *warnings,
            Table(
                "What is evaluated",
                ["target", "origin", "documents", "tokens", "bytes"],
                rows,
                "Of each document 4,096 bytes at most are scored, spread over it.",
            ),
            Table(
                "Where the kept documents went",
                ["source", "documents", "training", "held out", "removed as repeats"],
                sides,
                note,
            ),
        ],
        lead=f"Kept out of training because they repeat evaluation text: "
        f"{_count(removed, 'document')}.",
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "—"


def _count(number: int, one: str, many: str = "") -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
