from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.engine.stage import Stage
from pipeline.errors import ManifestError, Problem
from pipeline.extension import BuildContext
from pipeline.manifest import load_manifest
from pipeline.report.page import Page, render
from pipeline.step import ManifestView
from proxy.proxy_extension import ProxyExtension
from proxy.proxy_results import stages_by_name
from proxy.verdicts.comparison import Comparison
from winnow.testing import Workbench, batch_of

WORDS = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "lmnrst"]
MIXES = {"half": {"web": 0.5, "docs": 0.5}}
PROXY = {"model": "100k", "tokens": "4k", "seeds": 2}
SPEC = {"tokenizer": {"vocabulary": 300}, "mixes": MIXES, "proxy": PROXY}


def extension(**manifest: Any) -> ProxyExtension:
    return ProxyExtension.model_validate(manifest)


def check(folder: Path = Path(), **manifest: Any) -> list[Problem]:
    view = ManifestView(folder, 0, ("web", "docs"), ("quality",))
    return list(extension(**manifest).check(view))


def test_a_source_that_a_mix_cannot_name_is_refused_where_it_is() -> None:
    view = ManifestView(Path(), 0, ("web", "max_epochs"), ())
    (problem,) = extension(mixes={"half": {"web": 1.0}}).check(view)
    assert (problem.path, problem.code) == (("sources", "max_epochs"), "reserved-name")
    assert list(extension(mixes={"all": "proportional"}).check(view)) == []


def test_names_that_are_nearly_right_are_suggested_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "m.yaml").write_text(
        "sources: {web: {format: jsonl, paths: a.jsonl}}\n"
        "mixes: {half: {wep: 0.5, web: {wieght: top 3%}}}\n"
        "proxy: {baseline: hafl, evaluate: {wed: held_out 2%}}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    found = {(p.line, p.code): p.hint for p in caught.value.problems}
    assert found[2, "unknown-source"] == "did you mean 'web'?"
    assert found[2, "unknown-column"] == "did you mean 'weight'?"
    assert found[3, "unknown-mix"] == "did you mean 'half'?"
    assert found[3, "unknown-source"] == "did you mean 'web'?"


def context_of(bench: Workbench) -> BuildContext:
    rng = random.Random(3)
    shards = {}
    for source in ("web", "docs"):
        # Each source has words that the other lacks, so that mixes can differ.
        words = WORDS[:90] if source == "web" else WORDS[60:]
        texts = [" ".join(rng.choices(words, k=60)) for _ in range(80)]
        shards[f"{source}-0"] = batch_of(source, texts)
    return bench.context(bench.corpus(shards), ["web", "docs"])


def names(stages: list[Stage]) -> list[str]:
    return [stage.name.rpartition(".")[2] for stage in stages]


def test_no_mixes_and_no_proxy_ask_for_nothing(bench: Workbench) -> None:
    assert extension().stages(context_of(bench)) == []
    assert extension().results([]) == {}
    assert extension().report_sections([]) == []


def test_mixes_without_a_proxy_are_still_drawn(bench: Workbench) -> None:
    stages = extension(mixes=MIXES).stages(context_of(bench))
    assert names(stages) == ["held_out", "split", "tokenizer", "tokenise", "mix"]
    assert [task.key for task in stages[-1].tasks] == ["natural-seed1", "half-seed1"]
    for stage in stages:
        bench.run(stage)
    metrics = {receipt.key: receipt.metrics for receipt in stages[-1].outputs.receipts()}
    tokens = sum(
        tally[1] for r in stages[3].outputs.receipts() for tally in r.metrics["sources"].values()
    )
    assert metrics["natural-seed1"]["tokens"] == tokens
    assert [section.anchor for section in extension(mixes=MIXES).report_sections(stages)] == [
        "mixes"
    ]


def test_a_proxy_without_mixes_trains_the_proportional_one_alone(bench: Workbench) -> None:
    stages = extension(proxy=PROXY).stages(context_of(bench))
    assert names(stages)[-1] == "trial"
    assert [task.key for task in stages[-1].tasks] == ["natural-seed1", "natural-seed2"]


def tasks(stages: list[Stage], name: str) -> dict[str, list[Any]]:
    """What each task is made from, beside what it reads of earlier stages."""
    stage = stages_by_name(stages)[name]
    return {task.key: [stage.recipe, task.inputs, task.parameters] for task in stage.tasks}


def everything(stages: list[Stage]) -> dict[str, dict[str, list[Any]]]:
    return {name: tasks(stages, name) for name in stages_by_name(stages)}


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        # New trials and mixes, and a verdict over all of them; the old ones stay (below). What
        # follows from these is made anew if they give something else.
        ({"proxy": {**PROXY, "seeds": 3}}, {"mix", "trial", "verdict"}),
        ({"mixes": {**MIXES, "web": {"web": 1.0}}}, {"mix", "trial", "verdict"}),
        ({"proxy": {**PROXY, "baseline": "half"}}, {"verdict"}),
        ({"proxy": {**PROXY, "model": "150k"}}, {"trial"}),
        ({"tokenizer": {"vocabulary": 301}}, {"tokenizer", "trial"}),
    ],
)
def test_an_edit_changes_what_it_says_and_nothing_else(
    bench: Workbench, edit: dict[str, Any], changed: set[str]
) -> None:
    context = context_of(bench)
    before = everything(extension(**SPEC).stages(context))
    after = everything(extension(**{**SPEC, **edit}).stages(context))
    assert {name for name in before if before[name] != after[name]} == changed


def test_another_seed_or_mix_leaves_the_trials_there_are_as_they_are(bench: Workbench) -> None:
    context = context_of(bench)
    before = extension(**SPEC).stages(context)
    wider = {**MIXES, "web": {"web": 1.0}}
    after = extension(**{**SPEC, "mixes": wider, "proxy": {**PROXY, "seeds": 3}}).stages(context)
    for name in ("mix", "trial"):
        old, new = tasks(before, name), tasks(after, name)
        assert len(new) == 9
        assert {key: new[key] for key in old} == old
    edited = extension(**{**SPEC, "mixes": {"half": {"web": 0.6, "docs": 0.4}}}).stages(context)
    old, new = tasks(before, "mix"), tasks(edited, "mix")
    assert {key for key in old if old[key] != new[key]} == {"half-seed1", "half-seed2"}
    assert tasks(before, "trial") == tasks(edited, "trial"), "which read the mixes"


@pytest.mark.slow
def test_from_documents_to_a_verdict(benches: Callable[[str], Workbench]) -> None:
    """Every stage runs, a second time to the same bytes, and results and report hold together."""
    spec = extension(**SPEC)
    runs = []
    for name in ("one", "two"):
        bench = benches(name)
        stages = spec.stages(context_of(bench))
        for stage in stages:
            bench.run(stage)
        runs.append(stages)
    for one, two in zip(*runs, strict=True):
        outputs = [receipt.outputs for receipt in one.outputs.receipts()]
        assert outputs == [receipt.outputs for receipt in two.outputs.receipts()], one.name
    results: Any = spec.results(runs[0])
    comparisons = [Comparison(**comparison) for comparison in results["verdict"]["comparisons"]]
    assert [(comparison.mix, comparison.target) for comparison in comparisons] == [
        ("half", "all"),
        ("half", "web"),
        ("half", "docs"),
    ]
    assert results["headline"].startswith("`half`")
    assert {trial["tokens"] for trial in results["trials"].values()} <= set(range(3_000, 4_001))
    assert results["mixes"]["half-seed1"]["tokens"] == 4_000
    sections = spec.report_sections(runs[0])
    assert [c.anchor for c in sections] == ["verdict", "mixes", "training", "evaluation"]
    page = render(Page("run", "", [], results["headline"], sections))
    assert page.count("<svg") >= 3
    assert "natural" in page


def test_a_sound_manifest_has_no_problems(tmp_path: Path) -> None:
    (tmp_path / "evals.jsonl").write_text('{"query": "2 + 2 =", "answer": "4"}\n')
    evaluate = {"docs": "held_out 2%", "sums": "evals.jsonl"}
    mixes = {"natural": "proportional", "best": {"web": {"quality": "top 30%"}, "docs": 0.4}}
    proxy = {"model": "1m", "evaluate": evaluate, "baseline": "natural"}
    assert check(tmp_path, mixes=mixes, proxy=proxy) == []


@pytest.mark.parametrize(
    ("manifest", "path", "code", "hint"),
    [
        ({"mixes": {"m": {"wep": 1.0}}}, ("mixes", "m", "wep"), "unknown-source", "web"),
        ({"mixes": {"natural": {"web": 1.0}}}, ("mixes", "natural"), "reserved-name", "another"),
        ({"proxy": {"baseline": "halve"}}, ("proxy", "baseline"), "unknown-mix", "natural"),
        (
            {"proxy": {"evaluate": {"wep": "held_out 2%"}}},
            ("proxy", "evaluate", "wep"),
            "unknown-source",
            "web",
        ),
        (
            {"proxy": {"evaluate": {"web": "held-out 2%"}}},
            ("proxy", "evaluate", "web"),
            "no-evaluation-file",
            "held_out 2%",
        ),
        (
            {"proxy": {"model": "100k"}, "tokenizer": {"vocabulary": 60_000}},
            ("proxy", "model"),
            "model-size",
            "larger",
        ),
        (
            {"proxy": {"model": "9999b"}},
            ("proxy", "model"),
            "model-memory",
            "sizes that can train here: 100k, 300k, 1m",
        ),
        (
            {"tokenizer": {"file": "missing.json"}, "proxy": {}},
            ("tokenizer", "file"),
            "tokenizer-file",
            "",
        ),
    ],
)
def test_problems_lead_to_the_value_and_say_what_to_do(
    manifest: dict[str, Any], path: tuple[str, ...], code: str, hint: str
) -> None:
    (problem,) = check(**manifest)
    assert (problem.path, problem.code) == (path, code)
    assert any(hint in text for text in (problem.hint, *problem.choices))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "empty-evaluation-file"),
        ('{"text": " "}', "empty-evaluation-file"),
        ('{"a": 1}', "evaluation-row"),
        ("{", "bad-row"),
    ],
)
def test_an_evaluation_file_is_looked_into_before_any_work(
    tmp_path: Path, content: str, code: str
) -> None:
    (tmp_path / "evals.jsonl").write_text(content)
    (problem,) = check(tmp_path, proxy={"evaluate": {"sums": "evals.jsonl"}})
    assert (problem.path, problem.code) == (("proxy", "evaluate", "sums"), code)


def test_a_target_may_not_take_the_name_of_the_mean(tmp_path: Path) -> None:
    (tmp_path / "evals.jsonl").write_text('{"text": "a"}')
    (problem,) = check(tmp_path, proxy={"evaluate": {"all": "evals.jsonl"}})
    assert problem.code == "reserved-name"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"mixes": {"../up": "proportional"}}, "pattern"),
        ({"proxy": {"model": "huge"}}, "not a model size"),
        ({"proxy": {"tokens": "many"}}, "not a number of tokens"),
        ({"proxy": {"seeds": 0}}, "greater than or equal to 1"),
        ({"proxy": {"evaluate": {"web": "held_out 90%"}}}, "at most 50%"),
        ({"proxy": {"sedes": 3}}, "Extra inputs"),
    ],
)
def test_values_out_of_bounds_are_refused(manifest: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        extension(**manifest)
