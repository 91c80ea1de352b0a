from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from classifiers.agreement.agreement_metrics import auc
from classifiers.classify import Classify
from classifiers.sampling.hash_sampling import lowest_ranked
from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError
from pipeline.manifest.column_checks import column_problems
from pipeline.report.page import Page, render
from pipeline.shard_documents import ShardDocuments
from pipeline.step import ManifestView, Position, ReduceInput

Batches = Sequence[pa.RecordBatch]
STEP = Classify(train={"positive": "wiki", "negative": "code"}, epoch=5)
START = Position(0, 0)


def gather(
    step: Classify, shards: Sequence[Batches], folder: Path, seed: int = 17, group: int = 64
) -> ReduceInput:
    """What the engine does up to ``reduce``: shards on disk, and what was observed of them."""
    documents, mapped = [], []
    for number, batches in enumerate(shards):
        documents.append(folder / f"{number}.parquet")
        pq.write_table(pa.Table.from_batches(batches), documents[-1], row_group_size=group)
        mapped.append(folder / f"{number}.observed.parquet")
        seen = pa.Table.from_batches([step.map(Docs(batch)) for batch in batches])
        pq.write_table(seen, mapped[-1])
    return ReduceInput(tuple(mapped), tuple(map(ShardDocuments, documents)), seed)


def pieces(batch: pa.RecordBatch, size: int) -> list[pa.RecordBatch]:
    return [batch.slice(start, size) for start in range(0, batch.num_rows, size)]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def corpus(
    read_domain: Callable[..., list[dict[str, Any]]], as_batch: Callable[..., pa.RecordBatch]
) -> dict[str, pa.RecordBatch]:
    return {
        "wiki": as_batch("wiki", [row["text"] for row in read_domain("domains/wiki", 400)]),
        "code": as_batch("code", [row["text"] for row in read_domain("domains/code_c", 300)]),
        "law": as_batch("law", [row["text"] for row in read_domain("domains/law", 100)]),
    }


@pytest.fixture(scope="module")
def concluded(
    corpus: dict[str, pa.RecordBatch], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Findings, and the metrics that go with them."""
    reduce_input = gather(STEP, [[b] for b in corpus.values()], tmp_path_factory.mktemp("shards"))
    artifacts = tmp_path_factory.mktemp("artifacts")
    return artifacts, dict(STEP.reduce(reduce_input, artifacts))


def scores_of(batches: Batches, artifacts: Path) -> list[float]:
    found: list[float] = []
    for batch in batches:
        verdict = STEP.apply(Docs(batch), artifacts, START)
        assert verdict.keep.all()
        found += Docs(batch).with_columns(verdict.columns).column("quality").to_pylist()
    return found


def test_articles_score_above_programs_and_nothing_is_dropped(
    corpus: dict[str, pa.RecordBatch], concluded: tuple[Path, dict[str, Any]]
) -> None:
    artifacts, metrics = concluded
    wiki, code = (np.array(scores_of([corpus[name]], artifacts)) for name in ("wiki", "code"))
    truth = np.repeat([1, 0], [len(wiki), len(code)])
    assert auc(truth, np.concatenate([wiki, code])) > 0.99
    assert metrics["held_out"]["auc"] > 0.95
    assert metrics["held_out"]["n"] == {"positive": 30, "negative": 30}


def test_the_score_is_a_float32_column(
    corpus: dict[str, pa.RecordBatch], concluded: tuple[Path, dict[str, Any]]
) -> None:
    verdict = STEP.apply(Docs(corpus["law"]), concluded[0], START)
    docs = Docs(corpus["law"]).with_columns(verdict.columns)
    assert docs.batch.schema.names == [*DOCUMENT_SCHEMA.names, *STEP.adds()]
    assert docs.batch.schema.field("quality").type == pa.float32()


def test_a_batch_without_rows_gets_the_columns_too(
    corpus: dict[str, pa.RecordBatch], concluded: tuple[Path, dict[str, Any]]
) -> None:
    nothing = Docs(corpus["law"].slice(0, 0))
    verdict = STEP.apply(nothing, concluded[0], START)
    assert nothing.with_columns(verdict.columns).column("quality").type == pa.float32()
    assert STEP.map(nothing).num_rows == 0


def test_scores_do_not_depend_on_batches(
    corpus: dict[str, pa.RecordBatch], concluded: tuple[Path, dict[str, Any]]
) -> None:
    whole = scores_of([corpus["code"]], concluded[0])
    assert scores_of(pieces(corpus["code"], 7), concluded[0]) == whole


def test_a_forked_worker_scores_the_same(
    corpus: dict[str, pa.RecordBatch], concluded: tuple[Path, dict[str, Any]]
) -> None:
    here = scores_of([corpus["law"]], concluded[0])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.starmap(scores_of, [([corpus["law"]], concluded[0])] * 2)
    assert there == [here, here]


def test_the_card_says_what_the_model_was_made_from(
    concluded: tuple[Path, dict[str, Any]],
) -> None:
    artifacts, metrics = concluded
    card = orjson.loads((artifacts / "card.json").read_bytes())
    assert sorted(path.name for path in artifacts.iterdir()) == ["card.json", "model.bin"]
    assert card["model"]["sha256"] == sha256_file(artifacts / "model.bin")
    assert (card["positive"], card["negative"], card["seed"]) == (["wiki"], ["code"], 17)
    assert card["settings"]["epoch"] == 5
    assert card["documents"]["positive"] == {"found": 400, "sampled": 400, "distinct": 400}
    assert card["trained_on"] == {"positive": 270, "negative": 270}
    assert metrics["top_features"]["negative"] == [
        e["word"] for e in card["top_features"]["negative"]
    ]
    same = {key: value for key, value in card.items() if key != "top_features"}
    assert same == {key: value for key, value in metrics.items() if key != "top_features"}


def test_the_report_tells_what_the_card_says(concluded: tuple[Path, dict[str, Any]]) -> None:
    (section,) = STEP.report_sections("classify", *concluded)
    html = render(Page("run", "", [], "", [section]))
    assert f"{concluded[1]['held_out']['auc']:.3f}" in html
    assert concluded[1]["model"]["sha256"] in html


def test_equal_evidence_gives_equal_files_however_it_was_batched(
    corpus: dict[str, pa.RecordBatch],
    concluded: tuple[Path, dict[str, Any]],
    folder: Path,
    tmp_path: Path,
) -> None:
    shards = [pieces(batch, 31) for batch in corpus.values()]
    metrics = STEP.reduce(gather(STEP, shards, folder, group=1_000), tmp_path)
    assert metrics == concluded[1]
    for name in ("model.bin", "card.json"):
        assert (tmp_path / name).read_bytes() == (concluded[0] / name).read_bytes()


def test_the_sample_does_not_depend_on_shards(
    corpus: dict[str, pa.RecordBatch], folder: Path
) -> None:
    chosen = []
    for number, size in enumerate((400, 90, 13)):
        (folder / str(number)).mkdir()
        shards = [[piece] for piece in pieces(corpus["wiki"], size)]
        reduce_input = gather(STEP, shards, folder / str(number))
        places, found = lowest_ranked(reduce_input.mapped, 1, 60, seed=3)
        assert found == 400
        chosen.append([int(shard * size + row) for shard, row in places])
    assert len(set(chosen[0])) == 60
    assert chosen[0] == chosen[1] == chosen[2]


def test_a_larger_sample_holds_the_smaller_and_a_seed_changes_it(
    corpus: dict[str, pa.RecordBatch], folder: Path
) -> None:
    mapped = gather(STEP, [[corpus["wiki"]]], folder).mapped

    def rows(limit: int, seed: int) -> list[int]:
        return [int(row) for row in lowest_ranked(mapped, 1, limit, seed)[0][:, 1]]

    assert rows(200, 3)[:60] == rows(60, 3)
    assert set(rows(60, 3)) != set(rows(60, 4))
    # Taken from everywhere: the mean row of 200 out of 400 is near the middle.
    assert 170 < np.mean(rows(200, 3)) < 230


def test_observations_name_the_class_of_each_document(corpus: dict[str, pa.RecordBatch]) -> None:
    step = Classify(train={"positive": ["law", "wiki"], "negative": "code"})
    mixed = pa.Table.from_batches([batch.slice(0, 2) for batch in corpus.values()])
    (batch,) = mixed.combine_chunks().to_batches()
    assert step.map(Docs(batch)).column("label").to_pylist() == [1, 1, -1, -1, 1, 1]
    assert STEP.map(Docs(batch)).column("label").to_pylist() == [1, 1, -1, -1, 0, 0]


@given(st.lists(st.integers(0, 2**62), unique=True, min_size=1, max_size=40))
def test_hashes_differ_by_place_and_not_by_batch(offsets: list[int]) -> None:
    rows = [
        {"id": "", "text": "", "source": "wiki", "_source": name, "_offset": offset}
        for offset in offsets
        for name in ("a.jsonl", "b.jsonl")
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)
    whole = STEP.map(Docs(batch)).column("hash").to_pylist()
    single = [STEP.map(Docs(part)).column("hash")[0].as_py() for part in pieces(batch, 1)]
    assert whole == single
    assert len(set(whole)) == len(rows)


def test_classes_are_balanced_and_limited(
    corpus: dict[str, pa.RecordBatch], folder: Path, tmp_path: Path
) -> None:
    step = STEP.model_copy(update={"max_documents": 80})
    reduce_input = gather(step, [[batch] for batch in corpus.values()], folder)
    metrics = step.reduce(reduce_input, tmp_path)
    assert metrics["documents"] == {
        "positive": {"found": 400, "sampled": 80, "distinct": 80},
        "negative": {"found": 300, "sampled": 80, "distinct": 80},
    }
    assert metrics["trained_on"] == {"positive": 72, "negative": 72}


def test_copies_and_texts_of_both_classes_do_not_count(
    corpus: dict[str, pa.RecordBatch],
    as_batch: Callable[..., pa.RecordBatch],
    folder: Path,
    tmp_path: Path,
) -> None:
    articles = corpus["wiki"].column("text").to_pylist()[:90]
    programs = corpus["code"].column("text").to_pylist()[:80]
    shards = [
        [as_batch("wiki", articles * 2 + ["", " \n"])],
        [as_batch("code", programs + articles[:20])],
    ]
    metrics = STEP.reduce(gather(STEP, shards, folder), tmp_path)
    assert metrics["documents"] == {
        "positive": {"found": 182, "sampled": 182, "distinct": 70},
        "negative": {"found": 100, "sampled": 100, "distinct": 80},
    }
    assert metrics["trained_on"] == {"positive": 63, "negative": 63}


@pytest.mark.parametrize("count", [0, 49])
def test_too_few_documents_is_an_error_with_figures(
    corpus: dict[str, pa.RecordBatch], folder: Path, tmp_path: Path, count: int
) -> None:
    shards = [[corpus["wiki"]], [corpus["code"].slice(0, count)]]
    with pytest.raises(ShardError) as caught:
        STEP.reduce(gather(STEP, shards, folder), tmp_path)
    assert caught.value.code == "too-few-documents"
    assert f"{count} distinct negative documents" in caught.value.message
    assert "50 are needed: code had" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_pages_judged_by_people_are_told_apart(
    read_domain: Callable[..., list[dict[str, Any]]],
    as_batch: Callable[..., pa.RecordBatch],
    folder: Path,
    tmp_path: Path,
) -> None:
    pages = read_domain("truth/web-quality-human")
    learn = {
        label: [row["text"] for row in pages[::2] if row["label"] == label] for label in (0, 1)
    }
    step = Classify(train={"positive": "good", "negative": "bad"})
    shards = [[as_batch("good", learn[1])], [as_batch("bad", learn[0])]]
    step.reduce(gather(step, shards, folder), tmp_path)
    unseen = as_batch("web", [row["text"] for row in pages[1::2]])
    verdict = step.apply(Docs(unseen), tmp_path, START)
    truth = np.array([row["label"] == 1 for row in pages[1::2]])
    scores = np.asarray(verdict.columns["quality"])
    # About 120 pages to learn from and 124 to judge: 5-fold AUC on all 249 was 0.85.
    assert auc(truth, scores) > 0.7


def test_the_manifest_seed_is_used_unless_the_step_has_one(
    corpus: dict[str, pa.RecordBatch], folder: Path, tmp_path: Path
) -> None:
    own = STEP.model_copy(update={"seed": 5, "max_documents": 60})
    models = {}
    for step, seed in ((own, 17), (own, 18), (own.model_copy(update={"seed": None}), 5)):
        reduce_input = gather(step, [[batch] for batch in corpus.values()], folder, seed=seed)
        out = tmp_path / f"{step.seed}-{seed}"
        out.mkdir()
        assert step.reduce(reduce_input, out)["seed"] == 5
        models[out.name] = (out / "model.bin").read_bytes()
    assert len(set(models.values())) == 1


VIEW = ManifestView(Path("."), 1, ("wiki", "code", "law"), columns=("toxicity",))


def problems(**fields: Any) -> Iterator[tuple[Any, str, str, Any]]:
    values = {"train": {"positive": "wiki", "negative": "code"}, **fields}
    for found in Classify.model_validate(values).check(VIEW):
        yield found.path, found.code, found.message, found.hint or found.choices


def test_a_sound_step_has_no_problems() -> None:
    assert list(problems()) == []
    assert list(problems(train={"positive": ["wiki", "law"], "negative": ["code"]})) == []


def test_an_unknown_source_gets_a_suggestion() -> None:
    assert list(problems(train={"positive": "wikki", "negative": ["code", "zzz"]})) == [
        (
            ("train", "positive"),
            "unknown-source",
            "no source is named wikki",
            ("wiki", "code", "law"),
        ),
        (
            ("train", "negative", 1),
            "unknown-source",
            "no source is named zzz",
            ("wiki", "code", "law"),
        ),
    ]


def test_a_source_may_not_stand_on_both_sides() -> None:
    assert list(problems(train={"positive": ["law", "wiki"], "negative": "wiki"})) == [
        (
            ("train", "negative"),
            "source-on-both-sides",
            "wiki is both positive and negative",
            "name sources that differ",
        )
    ]


@pytest.mark.parametrize("name", ["text", "language", "toxicity"])
def test_a_column_that_exists_is_not_overwritten(name: str) -> None:
    step = Classify.model_validate({"train": {"positive": "a", "negative": "b"}, "column": name})
    (problem,) = column_problems(step, {"toxicity": pa.float32()})
    assert (problem.path, problem.code) == (("column",), "column-exists")


@pytest.mark.parametrize(
    "fields",
    [
        {"train": {"positive": "wiki"}},
        {"train": {"positive": [], "negative": "code"}},
        {"student": "bert"},
        {"column": "_source2"},
        {"column": ""},
        {"max_documents": 10},
        {"dim": 8},
        {"lr": 0},
        {"keep": 0.5},
    ],
)
def test_parameters_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    values = {"train": {"positive": "wiki", "negative": "code"}, **fields}
    with pytest.raises(ValidationError):
        Classify.model_validate(values)


def test_other_parameters_leave_observations_as_they_are(
    corpus: dict[str, pa.RecordBatch],
) -> None:
    other = Classify(
        train=STEP.train, column="score", max_documents=99, epoch=1, lr=0.1, seed=9, min_count=1
    )
    assert Classify.map_parameters == frozenset({"train"})
    observed = [step.map(Docs(corpus["wiki"])) for step in (STEP, other)]
    assert observed[0].equals(observed[1])
    assert pc.count_distinct(observed[0].column("hash")).as_py() == 400
