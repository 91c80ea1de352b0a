from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.stage import StageOutputs, TaskContext, TaskResult
from pipeline.report.blocks import Chart, Prose, ReportSection, Table
from pipeline.report.charts import svg
from proxy.training.trial import CURVE, curve_schema
from proxy.verdicts.comparison import AGGREGATE, Comparison, Decision
from proxy.verdicts.proxy_report import CURVE_POINTS, sections
from proxy.verdicts.verdict import VERDICT, confidence, headline, interval, sentence, signed, tone
from winnow.testing import Workbench


@dataclass(frozen=True)
class Report:
    """Writes these files and reports these metrics."""

    metrics: Mapping[str, Any]
    files: tuple[tuple[str, bytes], ...] = ()

    def run(self, context: TaskContext) -> TaskResult:
        for name, content in self.files:
            path = context.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return TaskResult(metrics=self.metrics)


def comparison(
    mix: str, delta: float, decision: Decision, target: str = AGGREGATE, why: str = ""
) -> Comparison:
    half = None if why else (abs(delta) / 2 if decision != "undecided" else abs(delta) * 2)
    return Comparison(
        mix=mix,
        baseline="natural",
        target=target,
        delta=delta,
        low=None if half is None else delta - half,
        high=None if half is None else delta + half,
        level=0.025,
        p=0.01,
        p_adjusted=0.02,
        decision=decision,
        mde=None if half is None else 0.02,
        seeds=2,
        documents=30,
        why=why,
    )


CLAIMS = [
    comparison("half", 0.004, "undecided"),
    comparison("best", -0.031, "better"),
    comparison("half", -0.02, "better", "web"),
    comparison("half", 0.03, "worse", "docs"),
]


def curve(steps: int) -> bytes:
    numbers = np.arange(1, steps + 1)
    columns = [numbers, numbers * 512, 5 / numbers, np.full(steps, 1e-3)]
    sink = pa.BufferOutputStream()
    arrays = [pa.array(c, f.type) for c, f in zip(columns, curve_schema(), strict=True)]
    pq.write_table(pa.table(arrays, schema=curve_schema()), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def component(name: str, wanted: int, tokens: int, **changes: Any) -> dict[str, Any]:
    return {
        "component": name,
        "wanted": wanted,
        "tokens": tokens,
        "documents": 5,
        "epochs": 1.256,
        "weight": 0.5,
        "low": None,
        "lowest": 0.0,
        "highest": 1.0,
        "high": None,
        **changes,
    }


def drawn(mix: str, seed: int, wanted: int, components: Sequence[dict[str, Any]]) -> Report:
    tokens = sum(p["tokens"] for p in components)
    metrics = {"mix": mix, "seed": seed, "wanted": wanted, "tokens": tokens}
    return Report({**metrics, "short": tokens < wanted, "components": list(components)})


@pytest.fixture
def stages(bench: Workbench) -> dict[str, StageOutputs]:
    plain = [component("web", 500, 500), component("docs", 500, 500)]
    short = [
        component("web, quality top 30%", 600, 300, low=0.25),
        component("docs", 400, 400, high=0.5),
    ]
    mixes = {f"natural-seed{s}": drawn("natural", s, 1_000, plain) for s in (1, 2)}
    mixes["best-seed1"] = drawn("best", 1, 1_000, short)
    run = {
        "parameters": 100_000,
        "tokens": 1_000,
        "steps": 700,
        "learning_rate": 0.004,
        "final_loss": 2.5,
        "flops": 6 * 10**8,
        "device": "cpu",
    }
    document = {
        "baseline": "natural",
        "comparisons": [asdict(c) for c in CLAIMS],
        "bits_per_byte": [
            {"mix": mix, "seed": seed, "targets": {"web": value, "all": value + 1}}
            for mix, seed, value in [("natural", 1, 1.0), ("natural", 2, 2.0), ("best", 1, 1.25)]
        ],
    }
    verdict = Report({}, ((VERDICT, orjson.dumps(document)),))
    tallies = {"training": [70, 7], "held_out": [20, 2], "removed": [10, 1]}
    target = {"documents": 20, "bytes": 900, "wanted": 20, "external": False, "left_out": 0}
    return {
        "held_out": bench.done("held_out", {"h": Report({"targets": {"web": target}})}),
        "split": bench.done(
            "split", {key: Report({"split": {"web": tallies}}) for key in ("web-0", "web-1")}
        ),
        "evaluation": bench.done("evaluation", {"e": Report({"targets": {"web": [20, 300, 900]}})}),
        "tokenise": bench.done("tokenise", {"web-0": Report({"sources": {"web": [5, 100, 320]}})}),
        "mix": bench.done("mix", mixes),
        "trial": bench.done(
            "trial", {key: Report(run, ((f"{key}/{CURVE}", curve(700)),)) for key in mixes}
        ),
        "verdict": bench.done("verdict", {"verdict": verdict}),
    }


def section(stages: Mapping[str, StageOutputs], anchor: str) -> ReportSection:
    return next(c for c in sections(stages) if c.anchor == anchor)


def table(found: ReportSection, title: str) -> Table:
    return next(p for p in found.blocks if isinstance(p, Table) and p.title == title)


def charts(found: ReportSection) -> list[Chart]:
    return [block for block in found.blocks if isinstance(block, Chart)]


def test_the_headline_says_the_verdict_best_first() -> None:
    said = headline([*CLAIMS, comparison("poor", 0.2, "worse")], "natural")
    assert said.startswith(
        "`best` is better than `natural`: −0.0310 bits per byte (97.5 % interval"
    )
    assert said.index("`poor` is worse") < said.index("`half` against `natural` is undecided")
    assert "0.0200 could have been found" in said
    several = headline(
        [comparison("a", 0.1, "undecided"), comparison("b", 0.0, "undecided")], "natural"
    )
    assert several == "`b`, `a` against `natural` are undecided."


def test_the_section_counts_decisions(stages: dict[str, StageOutputs]) -> None:
    lead = section(stages, "verdict").lead
    assert lead == "2 mixes against `natural`: 1 better, 0 worse, 1 undecided."


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (comparison("a", 0.05, "worse"), "`a` is worse than `natural`: +0.0500 bits per byte"),
        (comparison("a", 0.0, "undecided", why="one seed"), "is undecided: one seed"),
        (comparison("a", -0.001, "undecided"), "is undecided: −0.0010 bits per byte"),
    ],
)
def test_each_decision_is_a_sentence(made: Comparison, said: str) -> None:
    assert said in sentence(made)


def test_one_mix_alone_is_not_compared() -> None:
    assert headline([], "natural") == "There is no mix to compare with `natural`."


def test_intervals_carry_their_own_level_and_a_true_minus() -> None:
    assert interval(CLAIMS[1]) == "−0.0465 to −0.0155"
    assert confidence(CLAIMS[1]) == "97.5 %"
    assert signed(0.5) == "+0.5000"


def test_the_verdict_table_has_a_row_and_a_tone_per_claim(stages: dict[str, StageOutputs]) -> None:
    found = section(stages, "verdict")
    primary = table(found, "Mixes against the baseline")
    assert [row[:3] for row in primary.rows] == [
        ["half", "all targets", "undecided"],
        ["best", "all targets", "better"],
    ]
    assert list(primary.tones) == ["undecided", "better"]
    secondary = table(found, "By target")
    assert [(row[1], tone) for row, tone in zip(secondary.rows, secondary.tones, strict=True)] == [
        ("web", "better"),
        ("docs", "worse"),
    ]


def test_bits_per_byte_are_means_over_seeds(stages: dict[str, StageOutputs]) -> None:
    scores = table(section(stages, "verdict"), "Bits per byte, mean over seeds")
    assert scores.columns == ["mix", "web", "all targets"]
    assert scores.rows == [["natural", "1.5000", "2.5000"], ["best", "1.2500", "2.2500"]]


def test_the_price_is_that_of_all_trials(stages: dict[str, StageOutputs]) -> None:
    (price,) = (p for p in section(stages, "verdict").blocks if isinstance(p, Prose))
    assert "3 trials of 100,000 parameters, 3,000 tokens and 1.8e+09" in price.text


def test_wanted_and_sampled_are_side_by_side(stages: dict[str, StageOutputs]) -> None:
    rows = table(section(stages, "mixes"), "Wanted and sampled").rows
    assert [row[:5] for row in rows] == [
        ["natural", "web", 500, 500, "50.0 %"],
        ["natural", "docs", 500, 500, "50.0 %"],
        ["best", "web, quality top 30%", 600, 300, "42.9 %"],
        ["best", "docs", 400, 400, "57.1 %"],
    ]
    assert [row[-1] for row in rows] == [None, None, "≥ 0.25", "< 0.5"]


def test_a_mix_that_ended_short_says_so(stages: dict[str, StageOutputs]) -> None:
    (short,) = (p for p in section(stages, "mixes").blocks if isinstance(p, Prose))
    assert "`best` has 700 of 1,000 tokens" in short.text


def test_the_training_side_has_bytes_per_token(stages: dict[str, StageOutputs]) -> None:
    rows = table(section(stages, "mixes"), "The training side").rows
    assert rows == [["web", 5, 100, 320, 3.2]]


def test_loss_curves_are_thinned_and_keep_their_mean(stages: dict[str, StageOutputs]) -> None:
    (chart,) = charts(section(stages, "training"))
    values = chart.spec["data"]["values"]
    mine = [point for point in values if point["trial"] == "best-seed1"]
    assert len(mine) == CURVE_POINTS
    assert mine[-1]["tokens"] == 700 * 512
    assert {point["mix"] for point in values} == {"natural", "best"}
    assert math.isclose(mine[0]["loss"], np.mean([5 / n for n in (1, 2, 3)]), abs_tol=1e-4)


def test_every_kept_document_is_accounted_for(stages: dict[str, StageOutputs]) -> None:
    found = section(stages, "evaluation")
    assert table(found, "Where the kept documents went").rows == [["web", 200, 140, 40, 20]]
    assert found.lead.endswith(": 20 documents.")
    assert table(found, "What is evaluated").rows == [["web", "held out", 20, 300, 900]]


def test_every_chart_can_be_drawn_and_is_described(stages: dict[str, StageOutputs]) -> None:
    drawn_charts = [chart for c in sections(stages) for chart in charts(c)]
    assert len(drawn_charts) == 3
    for number, chart in enumerate(drawn_charts):
        picture = svg(chart.spec, chart.alt, f"c{number}-")
        assert picture.startswith("<svg")
        assert len(chart.alt) > 20


def test_mixes_alone_make_one_section(stages: dict[str, StageOutputs]) -> None:
    alone = {name: stages[name] for name in ("held_out", "split", "tokenise", "mix")}
    assert [c.anchor for c in sections(alone)] == ["mixes"]


def test_the_tone_is_that_of_the_best_decision() -> None:
    worse, undecided = comparison("a", 0.2, "worse"), comparison("b", 0.0, "undecided")
    assert tone([worse, undecided, comparison("c", -0.1, "better")]) == "better"
    assert tone([undecided, worse]) == "worse"
    assert tone([undecided]) == "undecided"
    assert tone([]) == ""
