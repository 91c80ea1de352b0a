"""Students trained within a run: what they learn from, what they append, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.agreement.agreement_metrics import spearman
from classifiers.distill import Distill
from classifiers.score import Score
from classifiers.students.student_settings import FastTextSettings
from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError
from pipeline.manifest.column_checks import column_problems
from pipeline.shard_documents import ShardDocuments
from pipeline.step import Column, ManifestView, Position, ReduceInput

START = Position(0, 0)
QUICK = {
    "kind": "fasttext",
    **{"epoch": 1, "dim": 16, "bucket": 600_000, "minn": 3, "maxn": 3, "documents": 200},
}
VIEW = ManifestView(Path(), 0, ("web",), ("edu", "edu_p", "topic", "topic_p"))
P = pa.struct([(name, pa.float32()) for name in "012"])
TOPICS = pa.struct([(name, pa.float32()) for name in ("code", "talk", "article")])
SCHEMA = pa.schema(
    [
        *DOCUMENT_SCHEMA,
        *[("edu", pa.float32()), ("edu_p", P), ("topic", pa.large_string()), ("topic_p", TOPICS)],
    ]
)


def step(student: str = "fasttext", labels: str = "edu", **parameters: Any) -> Distill:
    given = {"labels": labels, "column": "score", "student": student, **parameters}
    if student != "fasttext":
        given = {"embedding": QUICK, **given}
    return Distill.model_validate(given)


@pytest.fixture(scope="module")
def documents(read_domain: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Pages of C, dialogue and Wikipedia; two of three have labels, which grow in that order."""
    domains = ("code_c", "dialog", "wiki")
    rows = []
    for pages in zip(*(read_domain(f"domains/{name}", 100) for name in domains), strict=True):
        for grade, page in enumerate(pages):
            n = len(rows)
            p = [0.1, 0.1, 0.1]
            p[grade] = 0.8
            labelled = n % 9 < 6
            row = {
                **{"id": f"d{n}", "text": page["text"][:3_000], "source": "web", "_source": "web"},
                **{"_offset": n, "language": "de" if n % 5 == 0 else "en"},
                "edu": p[1] + 2 * p[2] if labelled else None,
                "edu_p": dict(zip("012", p, strict=True)) if labelled else None,
                "topic": ("code", "talk", "article")[grade] if labelled else None,
                "topic_p": dict(zip(("code", "talk", "article"), p, strict=True))
                if labelled
                else None,
            }
            rows.append(row)
    return rows


def reduce_input(
    distill: Distill, rows: Sequence[dict[str, Any]], folder: Path, shard: int = 10**6
) -> ReduceInput:
    """What the engine does up to ``reduce``, in shards of ``shard`` documents."""
    folder.mkdir(parents=True, exist_ok=True)
    documents, mapped = [], []
    for start in range(0, max(len(rows), 1), shard):
        table = pa.Table.from_pylist(list(rows[start : start + shard]), schema=SCHEMA)
        documents.append(folder / f"{start}.parquet")
        pq.write_table(table, documents[-1], row_group_size=40)
        mapped.append(folder / f"{start}.observed.parquet")
        batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=SCHEMA)]
        seen = pa.Table.from_batches([distill.map(Docs(batch)) for batch in batches])
        pq.write_table(seen, mapped[-1])
    return ReduceInput(tuple(mapped), tuple(map(ShardDocuments, documents)), 17)


def batch_of(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def columns(distill: Distill, rows: Sequence[dict[str, Any]], artifacts: Path) -> dict[str, Any]:
    verdict = distill.apply(Docs(batch_of(rows)), artifacts, START)
    assert verdict.keep.all()
    return {name: values.to_pylist() for name, values in verdict.columns.items()}


@pytest.fixture(scope="module")
def concluded(
    documents: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Distill, Path, dict[str, Any]]]:
    """Steps that have concluded, with artifacts and metrics."""
    found = {}
    for student, labels in (("fasttext", "edu"), ("linear", "topic"), ("mlp", "edu")):
        distill = step(student, labels)
        artifacts = tmp_path_factory.mktemp(student)
        seen = reduce_input(distill, documents, tmp_path_factory.mktemp("shards"))
        found[student] = (distill, artifacts, dict(distill.reduce(seen, artifacts)))
    return found


@pytest.mark.parametrize("student", ["fasttext", "mlp"])
def test_documents_without_labels_are_ranked_as_labels_would(
    documents: list[dict[str, Any]], concluded: dict[str, Any], student: str
) -> None:
    distill, artifacts, metrics = concluded[student]
    found = columns(distill, documents, artifacts)
    assert list(found) == ["score", "score_student"]
    assert set(found["score_student"]) == {sha256_file(artifacts / model(student))[:16]}
    unlabelled = [n for n, row in enumerate(documents) if row["edu"] is None]
    truth = np.array([n % 3 for n in unlabelled], dtype=np.float64)
    assert spearman(truth, np.array([found["score"][n] for n in unlabelled])) > 0.85
    assert metrics["held_out"]["spearman"]["value"] > 0.8


def model(student: str) -> str:
    return "model.bin" if student == "fasttext" else "model.safetensors"


def test_categories_come_with_their_probability(
    documents: list[dict[str, Any]], concluded: dict[str, Any]
) -> None:
    distill, artifacts, metrics = concluded["linear"]
    blank = {**documents[0], "text": " \n"}
    found = columns(distill, [*documents, blank], artifacts)
    assert list(found) == ["score", "score_confidence", "score_student"]
    truth = [("code", "talk", "article")[n % 3] for n in range(len(documents))]
    same = [a == b for a, b in zip(found["score"], truth, strict=False)]
    assert np.mean(same) > 0.9
    assert (found["score"][-1], found["score_confidence"][-1]) == (None, 0)
    assert min(found["score_confidence"][:-1]) > 1 / 3
    assert metrics["held_out"]["accuracy"]["value"] > 0.8
    assert metrics["values"] is None
    assert "thresholds" not in metrics


def test_the_card_says_what_the_student_was_made_from(concluded: dict[str, Any]) -> None:
    distill, artifacts, metrics = concluded["fasttext"]
    card = orjson.loads((artifacts / "card.json").read_bytes())
    assert sorted(path.name for path in artifacts.iterdir()) == ["card.json", "model.bin"]
    assert card["documents"] == {
        **{"labelled": 201, "sampled": 201, "distinct": 201},
        **{"trained_on": 161, "held_out": 40},
    }
    assert (card["learned_from"], card["seed"], card["copies"]) == ("edu", 17, 5)
    assert card["settings"] == distill.fasttext.model_dump()
    assert sum(card["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert set(card["top_features"]) == {"high", "low"}
    assert metrics["top_features"]["high"] == [
        entry["word"] for entry in card["top_features"]["high"]
    ]
    assert {**card, "top_features": 0} == {**orjson.loads(orjson.dumps(metrics)), "top_features": 0}


def test_thresholds_are_of_documents_that_were_not_learned(
    documents: list[dict[str, Any]], concluded: dict[str, Any]
) -> None:
    distill, artifacts, metrics = concluded["fasttext"]
    found = metrics["thresholds"]
    assert set(found) == {"all", "de", "en"}
    assert found["all"]["n"] == 300 - 161
    assert found["de"]["n"] + found["en"]["n"] == found["all"]["n"]
    scores = np.array(columns(distill, documents, artifacts)["score"])
    assert (scores >= found["all"]["top 20%"]).mean() == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize("student", ["fasttext", "linear"])
def test_equal_evidence_gives_equal_files_however_it_was_sharded(
    documents: list[dict[str, Any]], concluded: dict[str, Any], tmp_path: Path, student: str
) -> None:
    distill, artifacts, metrics = concluded[student]
    out = tmp_path / "out"
    out.mkdir()
    again = distill.reduce(reduce_input(distill, documents, tmp_path / "in", shard=77), out)
    assert again == metrics
    for path in artifacts.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_a_batch_without_rows_gets_the_columns_too(concluded: dict[str, Any]) -> None:
    for distill, artifacts, _ in concluded.values():
        verdict = distill.apply(Docs(batch_of([])), artifacts, START)
        docs = Docs(batch_of([])).with_columns(verdict.columns)
        assert len(docs) == 0
        assert docs.column("score_student").type == pa.large_string()


def test_scores_do_not_depend_on_batches(
    documents: list[dict[str, Any]], concluded: dict[str, Any]
) -> None:
    for distill, artifacts, _ in concluded.values():
        whole = columns(distill, documents[:30], artifacts)
        parts = [columns(distill, documents[start : start + 7], artifacts) for start in (0, 7)]
        for name, values in whole.items():
            assert parts[0][name] + parts[1][name] == values[:14]


def test_the_student_scores_other_corpora_the_same(
    documents: list[dict[str, Any]], concluded: dict[str, Any]
) -> None:
    for distill, artifacts, _ in concluded.values():
        other = Score(students={"score": artifacts}).filter(Docs(batch_of(documents)))
        here = columns(distill, documents, artifacts)
        assert {name: values.to_pylist() for name, values in other.columns.items()} == here


def test_copies_and_blank_documents_teach_once(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [{**row, "_offset": n} for n, row in enumerate([*documents, *documents])]
    rows += [{**documents[0], "text": text, "_offset": 10**6 + len(text)} for text in ("", " \n")]
    distill = step(fasttext=FastTextSettings(epoch=1))
    metrics = distill.reduce(reduce_input(distill, rows, tmp_path), tmp_path)
    assert metrics["documents"]["sampled"] == 404
    assert metrics["documents"]["distinct"] == 201


@pytest.mark.parametrize("count", [0, 49])
def test_too_few_labels_are_an_error_with_figures(
    documents: list[dict[str, Any]], tmp_path: Path, count: int
) -> None:
    labelled = [row for row in documents if row["edu"] is not None][:count]
    rest = [row for row in documents if row["edu"] is None]
    with pytest.raises(ShardError, match=f"{count} distinct documents with a label edu") as caught:
        step().reduce(reduce_input(step(), [*labelled, *rest], tmp_path), tmp_path / "out")
    assert caught.value.code == "too-few-documents"


def test_labels_that_are_all_the_same_are_an_error(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    one = {"edu": 2.0, "edu_p": {"0": 0.0, "1": 0.0, "2": 1.0}}
    rows = [{**row, **one} for row in documents]
    with pytest.raises(ShardError, match="all 300 labels edu are 2") as caught:
        step().reduce(reduce_input(step(), rows, tmp_path), tmp_path)
    assert caught.value.code == "one-class"


def test_labels_that_are_no_probabilities_are_an_error(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [dict(row) for row in documents]
    rows[0]["edu_p"] = {"0": math.nan, "1": 0.0, "2": 1.0}
    with pytest.raises(ShardError, match="1 of 201 labels are no probabilities"):
        step().reduce(reduce_input(step(), rows, tmp_path), tmp_path)


def problems(distill: Distill, view: ManifestView = VIEW) -> list[tuple[Any, str]]:
    return [(problem.path, problem.code) for problem in distill.check(view)]


def test_a_manifest_that_fits_has_no_problems() -> None:
    assert problems(step()) == []
    assert problems(step("mlp", "topic", hidden=8)) == []
    assert tuple(step().adds()) == ("score", "score_confidence", "score_student")


def test_the_columns_it_reads_are_declared_and_those_it_adds_are_new() -> None:
    assert step().reads() == {("labels",): Column("edu_p")}
    columns = dict.fromkeys(VIEW.columns)
    assert list(column_problems(step(), columns)) == []
    for distill, path, code in (
        (step(labels="edo"), ("labels",), "unknown-column"),
        (step(column="edu"), ("column",), "column-exists"),
        (step(column="text"), ("column",), "column-exists"),
    ):
        assert [(p.path, p.code) for p in column_problems(distill, columns)] == [(path, code)]


def test_parameters_of_other_students_are_refused() -> None:
    unused = "unused-parameter"
    assert problems(step(embedding=QUICK)) == [(("embedding",), unused)]
    assert problems(step("linear", hidden=8)) == [(("hidden",), unused)]
    assert problems(step("mlp", fasttext={"epoch": 9})) == [(("fasttext",), unused)]


def test_a_model_of_the_hub_needs_a_revision(tmp_path: Path) -> None:
    view = ManifestView(tmp_path, 0, ("web",), VIEW.columns)
    encoder = {"kind": "sentence-transformers", "model": "owner/name"}
    assert problems(step("linear", embedding=encoder), view) == [
        (("embedding", "model"), "no-revision")
    ]
    pinned = step("linear", embedding={**encoder, "revision": "0" * 40})
    assert problems(pinned, view) == []
    (tmp_path / "owner" / "name").mkdir(parents=True)
    (tmp_path / "owner" / "name" / "config.json").write_text("{}")
    local = step("linear", embedding=encoder)
    assert problems(local, view) == []
    before = local.model_dump(mode="json")
    (tmp_path / "owner" / "name" / "config.json").write_text('{"changed": true}')
    assert local.model_dump(mode="json") != before
