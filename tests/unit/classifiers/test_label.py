"""The label step without a judge: what a manifest may say, what decides labels, what is made of
answers. ``ask`` is stood in for; tests/e2e/test_label_run.py has the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from label_project import RUBRIC, LabelProject

from classifiers.judges.answers import Answer
from classifiers.judges.answers import Label as Soft
from classifiers.judges.rubric import Rubric
from classifiers.label import Label
from classifiers.labelling import label_phases
from classifiers.labelling.label_store import Stored
from classifiers.labelling.labelling_job import WorkerStatus
from classifiers.labelling.questions import Question
from pipeline.documents import Docs
from pipeline.errors import ManifestError, Refusal, ShardError
from pipeline.manifest import load_manifest
from pipeline.report.page import Page, render
from pipeline.step import ManifestView
from winnow.testing import StepRun, documents, run_global_step

SERVER = {"kind": "endpoint", "url": "http://127.0.0.1:9", "model": "judge", "revision": "abc"}


class Judge:
    """Stands in for ``ask``: the longer a text, the higher its grade. ``broken`` texts have an
    error."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.broken, self.asked = broken, list[Mapping[str, Question]]()

    def __call__(
        self, server: Any, rubric: Rubric, asked: Mapping[str, Question], *rest: Any
    ) -> tuple[WorkerStatus, dict[str, list[Stored | None]]]:
        self.asked.append(asked)
        stored = {
            purpose: [self.label(rubric, text) for text in question.texts]
            for purpose, question in asked.items()
        }
        return WorkerStatus(ended=True, judge="j", revision="0123456789abcdef0"), stored

    def label(self, rubric: Rubric, text: str) -> Stored | None:
        if not any(letter.isalnum() for letter in text):
            return None
        answer = Answer.refused("garbage")
        if text not in self.broken:
            labels = {}
            for name, attribute in rubric.attributes.items():
                count = len(attribute.labels)
                best = min(len(text) // 10, count - 1)
                rest = 0.2 / (count - 1)
                p = tuple(0.8 if i == best else rest for i in range(count))
                labels[name] = Soft(p, 0.9)
            answer = Answer(labels, {})
        return Stored(text.encode(), "j", "r", b"", 0, answer, 7, 1)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    judge = Judge()
    monkeypatch.setattr(label_phases, "ask", judge)
    return judge


def step(folder: Path, **parameters: Any) -> Label:
    (folder / "rubric.yaml").write_text(RUBRIC)
    made = Label(**{"rubric": "rubric.yaml", "server": SERVER, **parameters})
    assert list(made.check(ManifestView(folder, 0, ("web",)))) == []
    return made


def run(
    folder: Path, rows: Sequence[Mapping[str, Any]], shards: int = 1, **parameters: Any
) -> StepRun:
    return run_global_step(step(folder, **parameters), rows, {}, shards, batch=7)


def texts(*given: str) -> list[dict[str, str]]:
    return [{"text": text} for text in given]


MANY = texts(*(f"{'word ' * (n % 6)}{n}" for n in range(40)))


# --- labels ---


def test_labels_stand_at_their_documents_however_these_are_sharded(
    judge: Judge, tmp_path: Path
) -> None:
    whole = run(tmp_path, MANY, sample={"documents": 25})
    assert len(whole.kept) == 40
    for shards in (3, 40):
        parts = run(tmp_path, MANY, shards, sample={"documents": 25})
        assert parts.columns == whole.columns
        assert parts.metrics == whole.metrics
    labelled = {key: found for key, found in whole.columns.items() if found["clarity"] is not None}
    assert len(labelled) == 25
    for key, found in labelled.items():
        best = min(len(MANY[int(key[1:])]["text"]) // 10, 2)
        assert max(found["clarity_p"], key=found["clarity_p"].get) == str(best)
        assert found["kind"] == ("prose", "list", "other")[best]
    for found in whole.columns.values():
        assert len({value is None for value in found.values()}) == 1


def test_a_judge_that_always_answers_alike_is_a_warning_and_a_red_box(
    judge: Judge, tmp_path: Path
) -> None:
    made = step(tmp_path)
    same = texts(*(f"text {n}" for n in range(10, 30)))
    ran = run_global_step(made, same, {}, 1, batch=7)
    assert len(ran.metrics["warnings"]) == 2, "both attributes"
    assert all("answers alike about every document" in found for found in ran.metrics["warnings"])
    (section,) = made.report_sections("label", tmp_path, ran.metrics)
    boxes = [block for block in section.blocks if getattr(block, "tone", "") == "worse"]
    assert [block.title for block in boxes] == [
        "Labels not to rely on: clarity",
        "Labels not to rely on: kind",
    ]
    assert "warnings" not in run(tmp_path, MANY).metrics


def test_columns_have_the_prefix(judge: Judge, tmp_path: Path) -> None:
    plain = run(tmp_path, MANY).columns["d3"]
    prefixed = run(tmp_path, MANY, prefix="b_").columns["d3"]
    assert prefixed == {f"b_{name}": value for name, value in plain.items()}


def test_equal_documents_have_equal_labels(judge: Judge, tmp_path: Path) -> None:
    ran = run(tmp_path, texts(*["the very same text"] * 8))
    assert len({json.dumps(found) for found in ran.columns.values()}) == 1
    assert ran.metrics["cost"] == {"labels": 1, "prompt_tokens": 7, "completion_tokens": 1}


@pytest.mark.parametrize("blank", ["", "   \n", "... !? —", "___"])
def test_a_document_without_words_gets_no_label_and_counts_for_nothing(
    judge: Judge, tmp_path: Path, blank: str
) -> None:
    ran = run(tmp_path, texts(*[blank] * 9, "a word"), max_errors=0.0)
    assert ran.metrics["errors"] == {"empty": 9}
    assert [row["clarity_error"] for row in ran.tables["labels.parquet"]] == ["empty"] * 9 + [None]
    assert ran.columns["d0"]["clarity_p"] is None
    assert ran.columns["d9"]["clarity"] is not None


def test_words_of_any_script_are_words(judge: Judge, tmp_path: Path) -> None:
    ran = run(tmp_path, texts("漢", "д", "٣", "क"))
    assert ran.metrics["errors"] == {}


def test_an_empty_corpus_has_empty_labels(judge: Judge, tmp_path: Path) -> None:
    ran = run(tmp_path, [], checks={"retest": 5, "injection_probes": 5})
    assert ran.tables["labels.parquet"] == []
    assert ran.metrics["cost"]["labels"] == 0
    found = step(tmp_path).report_sections("label", tmp_path, ran.metrics)
    assert "What these labels cost" in render(Page("run", "", [], "", list(found)))


def test_one_document_is_labelled(judge: Judge, tmp_path: Path) -> None:
    ran = run(tmp_path, texts("one"), checks={"retest": 5, "injection_probes": 1, "position": 1})
    assert ran.columns["d0"]["kind"] == "prose"
    step(tmp_path).report_sections("label", tmp_path, ran.metrics)


def test_errors_above_the_share_end_the_run_and_below_are_counted(
    judge: Judge, tmp_path: Path
) -> None:
    judge.broken = [row["text"] for row in MANY[:4]]
    ran = run(tmp_path, MANY, max_errors=0.1)
    assert ran.metrics["errors"] == {"garbage": 4}
    assert ran.columns["d0"]["clarity"] is None
    with pytest.raises(ShardError, match="4 of 40 documents") as caught:
        run(tmp_path, MANY, max_errors=0.09)
    assert caught.value.code == "too-many-errors"


def test_labels_below_the_least_mass_are_errors(judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="low-mass: 40"):
        run(tmp_path, MANY, min_mass=0.95)


def test_no_more_of_a_long_document_is_read_than_its_tokens(judge: Judge, tmp_path: Path) -> None:
    long = "begin " + "x" * 2_000_000 + " end"
    run(tmp_path, texts(long), max_tokens=32)
    run(tmp_path, texts(long), max_tokens=32, truncate="ends")
    head, ends = (asked["document"].texts[0] for asked in judge.asked)
    assert head == long[: 32 * 16]
    assert ends == long[: 16 * 16] + long[-16 * 16 :]


def test_sources_are_reported_whatever_makes_strata(judge: Judge, tmp_path: Path) -> None:
    rows = [{"text": f"word {n}", "source": ("a · b", "c")[n % 2]} for n in range(20)]
    for by in ([], ["length"], ["language", "source"]):
        ran = run(tmp_path, rows, sample={"by": by})
        spread = ran.metrics["agreement"]["attributes"]["clarity"]["spread"]
        assert set(spread["sources"]) == {"a · b", "c"}, by


def test_a_language_called_unknown_is_no_missing_one(judge: Judge, tmp_path: Path) -> None:
    rows = [{"text": "word", "language": name} for name in ("unknown", None, "en", None)]
    ran = run(tmp_path, rows, sample={"by": ["language"]})
    strata = [row["stratum"] for row in ran.tables["labels.parquet"]]
    assert strata == ["unknown", "no language", "en", "no language"]


def test_lengths_make_strata_in_powers_of_four(tmp_path: Path) -> None:
    sizes = [0, 1, 3, 4, 15, 16, 63, 64, 4**10 - 1, 4**10]
    docs = Docs(documents(texts(*("x" * size for size in sizes)), {}))
    fingerprint = step(tmp_path, sample={"by": ["length"]}).map(docs)
    assert fingerprint["stratum"].to_pylist() == [
        str(n) for n in (1, 1, 1, 4, 4, 16, 16, 64, 4**9, 4**10)
    ]


def test_checks_ask_about_the_beginning_of_the_sample(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text('{"text": "x", "label": 1}\n{"text": "y", "label": 2}\n')
    checks = {"gold": {"path": "gold.jsonl"}, "retest": 3, "position": 4, "truncation": 5}
    ran = run(tmp_path, MANY, checks={**checks, "injection_probes": 2, "other_judge": SERVER})
    asked, other = judge.asked
    whole = asked["document"].texts
    for purpose, count in (("retest", 3), ("position", 4), ("truncation", 5)):
        assert asked[purpose].texts == whole[:count]
    assert (asked["retest"].repeat, asked["position"].reverse) == (1, True)
    assert asked["truncation"].limit == asked["document"].limit // 2
    assert len(asked["injected"].texts) == len(asked["benign"].texts) > 2
    assert {purpose: question.texts for purpose, question in other.items()} == {"other": ["x", "y"]}
    metrics = ran.metrics["agreement"]["attributes"]
    assert {"gold", "retest", "position", "truncation", "other_judge", "injection_probes"} <= set(
        metrics["clarity"]
    )
    assert "gold" not in metrics["kind"]


def test_a_bad_gold_set_is_found_before_anything_is_asked(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text('{"text": "x", "label": "good"}\n')
    with pytest.raises(ShardError, match=r"gold\.jsonl:1:1"):
        run(tmp_path, MANY, checks={"gold": {"path": "gold.jsonl"}})
    assert judge.asked == []


def test_a_score_splits_strata(judge: Judge, tmp_path: Path) -> None:
    rows = [{"text": f"word {n}", "s": [float(n), None][n % 2]} for n in range(16)]
    made = Label(rubric="rubric.yaml", server=SERVER, sample={"by": [], "score": "s"})  # type: ignore[arg-type]
    (tmp_path / "rubric.yaml").write_text(RUBRIC)
    list(made.check(ManifestView(tmp_path, 0, ("web",), ("s",))))
    ran = run_global_step(made, rows, {"s": pa.float32()})
    assert {row["stratum"] for row in ran.tables["labels.parquet"]} == {
        f"all · score {quarter}" for quarter in ("none", 1, 2, 3, 4)
    }


def test_the_card_is_what_the_receipt_holds(judge: Judge, tmp_path: Path) -> None:
    ran = run(tmp_path, MANY, seed=9)
    assert json.loads(ran.files["card.json"]) == ran.metrics
    assert ran.metrics["judge"] == {"model": "judge", "revision": "0123456789abcdef"}
    assert ran.metrics["seed"] == 9


# --- what decides labels ---


def decided(folder: Path, **parameters: Any) -> dict[str, Any]:
    made = Label(**{"rubric": "rubric.yaml", "server": SERVER, **parameters})
    list(made.check(ManifestView(folder, 0, ("web",))))
    return made.model_dump(mode="json")


def test_where_and_how_fast_a_judge_is_asked_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "rubric.yaml").write_text(RUBRIC)
    other = {**SERVER, "url": "https://elsewhere/x", "key_env": "KEY", "price": {"prompt": 2}}
    plain = decided(tmp_path, checks={"other_judge": SERVER})
    assert plain == decided(
        tmp_path,
        server=other,
        checks={"other_judge": other},
        budget={"tokens": 3},
        max_concurrency=1,
    )
    assert "elsewhere" not in json.dumps(decided(tmp_path, server=other))
    assert Label(rubric="x", server=other).model_dump()["server"]["url"] == "https://elsewhere/x"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"server": {**SERVER, "revision": "abd"}},
        {"server": {**SERVER, "template_args": {}}},
        {"max_tokens": 99},
        {"min_mass": 0.1},
        {"max_errors": 0.1},
        {"mode": "rationale"},
        {"sample": {"documents": 7}},
        {"checks": {"retest": 7}},
        {"seed": 7},
    ],
)
def test_everything_else_decides(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "rubric.yaml").write_text(RUBRIC)
    assert decided(tmp_path) != decided(tmp_path, **change)


def test_what_files_hold_decides_and_not_where_they_are(tmp_path: Path) -> None:
    server = {"kind": "endpoint", "url": "http://h", "model": "judge", "tokenizer": "words"}
    dumps = []
    for name in ("a", "b"):
        folder = tmp_path / name
        for model in ("judge", "words"):
            (folder / model).mkdir(parents=True)
            (folder / model / "weights").write_bytes(b"0" * 3_000_000)
        (folder / "rubric.yaml").write_text(RUBRIC)
        (folder / "gold.jsonl").write_text("{}")
        dumps.append(decided(folder, server=server, checks={"gold": {"path": "gold.jsonl"}}))
    assert dumps[0] == dumps[1]
    for path in ("rubric.yaml", "gold.jsonl", "judge/weights", "words/weights", "judge/new"):
        (folder / path).write_bytes(b"1" * 3_000_000)
        now = decided(folder, server=server, checks={"gold": {"path": "gold.jsonl"}})
        assert now not in dumps, path
        dumps.append(now)


def test_a_pinned_model_decides_by_its_revision_alone(tmp_path: Path) -> None:
    (tmp_path / "rubric.yaml").write_text(RUBRIC)
    without = decided(tmp_path)
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "weights").touch()
    assert decided(tmp_path) == without


def test_manifests_are_checked_without_a_library_for_models() -> None:
    code = (
        "import sys, classifiers.label, classifiers.label_command; slow = {'torch', 'sklearn', "
        "'transformers', 'scipy', 'tokenizers', 'jinja2', 'aiohttp', 'numba', 'altair'}; "
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what a manifest may say ---


def problems(project: LabelProject, **changes: Any) -> list[str]:
    """``line:column code message`` of everything that is wrong, and the hint."""
    project.write(**changes)
    try:
        load_manifest(project.manifest)
    except ManifestError as error:
        lines = project.manifest.read_text().splitlines()
        for problem in error.problems:
            assert lines[problem.line - 1][problem.column - 1 :].strip(), problem
        return [
            f"{p.code} {p.message} | {p.hint} | {lines[p.line - 1].strip()}" for p in error.problems
        ]
    return []


@pytest.fixture
def project(tmp_path: Path) -> LabelProject:
    return LabelProject(tmp_path)


def test_the_project_of_these_tests_is_fine(project: LabelProject) -> None:
    assert problems(project) == []


def test_an_unknown_rubric_is_named_with_those_that_there_are(project: LabelProject) -> None:
    (checked,) = problems(project, rubric="educational")
    assert checked.startswith("no-rubric there is no rubric 'educational'")
    assert "educational_value, general_quality, topic_and_format" in checked
    assert '"rubric": "educational"' in checked


def test_a_bad_rubric_is_shown_with_its_own_line(project: LabelProject) -> None:
    (project.folder / "rubric.yaml").write_text(RUBRIC.replace("question: What", "questoin: What"))
    found = problems(project)
    assert any("rubric.yaml:9:5" in checked and "questoin" in checked for checked in found), found
    (project.folder / "rubric.yaml").write_text("name: [")
    assert any("rubric.yaml:1" in checked for checked in problems(project))


def test_missing_files_and_models_are_named(project: LabelProject) -> None:
    server = {"kind": "vllm", "model": "no/such/folder"}
    found = problems(project, checks={"gold": {"path": "no.jsonl"}, "other_judge": server})
    assert [checked.split()[0] for checked in found] == ["no-file", "no-revision"]
    assert "'no.jsonl'" in found[0]
    (checked,) = problems(project, checks={}, server=server)
    assert "no-revision" in checked
    assert "revision: …" in checked
    assert problems(project, server={**server, "revision": "0123abcd"}) == []


def test_prefix_tells_two_judges_of_one_rubric_apart(project: LabelProject) -> None:
    project.write(sample={}, prefix="second_")
    (named,) = load_manifest(project.manifest).steps
    assert {"second_clarity", "second_clarity_p"} <= set(named.step.adds())
    (project.folder / "rubric.yaml").write_text(RUBRIC.replace("  kind:", "  source:"))
    assert problems(project, sample={}, prefix="second_") == []


def test_columns_must_be_there_and_must_not_be(project: LabelProject) -> None:
    (checked,) = problems(project, sample={"score": "edu"})
    assert checked.startswith("unknown-column no earlier step adds a column 'edu'")
    rubric = RUBRIC.replace("  kind:", "  source:")
    (project.folder / "rubric.yaml").write_text(rubric)
    (checked,) = problems(project, sample={})
    assert checked.startswith("column-exists documents already have a column 'source'")


def test_gold_of_an_attribute_that_the_rubric_has_not(project: LabelProject) -> None:
    (project.folder / "gold.jsonl").touch()
    (checked,) = problems(project, checks={"gold": {"path": "gold.jsonl", "attribute": "beauty"}})
    assert checked.startswith("unknown-attribute the rubric clarity has no attribute beauty")
    assert "clarity" in checked
    assert "kind" in checked


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": 2**32},
        {"seed": -1},
        {"max_tokens": 8},
        {"sample": {"documents": 0}},
        {"sample": {"by": ["colour"]}},
        {"budget": {"tokens": 0}},
        {"mode": "guess"},
        {"server": {"kind": "endpoint", "model": "judge", "url": "http://me:secret@host"}},
    ],
)
def test_values_out_of_range_are_refused(project: LabelProject, wrong: dict[str, Any]) -> None:
    assert len(problems(project, **wrong)) >= 1


def test_a_run_ends_at_the_step_that_is_named(project: LabelProject) -> None:
    loaded = load_manifest(project.manifest)
    assert [named.label for named in loaded.until("label").steps] == ["label"]
    with pytest.raises(Refusal, match="no step 'keep'"):
        loaded.until("keep")


def test_places_of_labels_are_found_in_any_batch(judge: Judge, tmp_path: Path) -> None:
    columns = run(tmp_path, MANY, sample={"documents": 11}).columns
    scores = [found["clarity"] for found in columns.values()]
    assert np.sum([score is not None for score in scores]) == 11
