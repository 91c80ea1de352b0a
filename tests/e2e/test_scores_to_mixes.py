"""From scores and categories to mixes: what is joined, kept and drawn, on real documents."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from small_runs import contents, corpus_rows, files_of, winnow

DOMAINS = ("wiki", "law", "dialog", "code_c")
DOCUMENTS = 120
STEP = '''
import pyarrow as pa
from winnow import RowStep, FilterResult
import numpy as np


class Sort(RowStep):
    """Append a topic by a word of it, and none where there is no such word."""

    def adds(self):
        return {"topic": pa.large_string()}

    def filter(self, docs):
        topics = []
        for text in docs.text.to_pylist():
            words = {"court": "law", "born": "people", "int": "programs"}
            topics.append(next((t for word, t in words.items() if f" {word} " in text), None))
        column = pa.array(topics, pa.large_string())
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns={"topic": column})
'''
MANIFEST = """
name: scores
seed: 5
output: out
executor: {workers: 2}
sources:
  web:  {format: jsonl, paths: [wiki.jsonl, law.jsonl, dialog.jsonl]}
  code: {format: jsonl, paths: code_c.jsonl}
  good: {format: jsonl, paths: good.jsonl}
steps:
  - sort.py:Sort
  - classify: {train: {positive: good, negative: web}, epoch: 5, column: metrics}
  - classify: {train: {positive: code, negative: web}, epoch: 5, column: formal}
  - ensemble: {columns: [metrics, formal], bins: 5}
  - keep: {column: metrics, top: 60%, by: [source, topic], sources: [web, code]}
mixes:
  buckets:
    web: [{quality_bucket: 4, weight: 0.5}, {quality_bucket: [0, 1, 2, 3], weight: 0.2}]
    code: 0.3
  topics:
    web: [{topic: law, weight: 0.4}, {topic: people, metrics: top 50%}, {topic: programs}]
    max_epochs: 1
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    for name in DOMAINS:
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            lines = [next(stream) for _ in range(DOCUMENTS)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    with (shared_data / "domains" / "edu.jsonl.zst").open("rb") as raw:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        (folder / "good.jsonl").write_text("".join(next(stream) for _ in range(DOCUMENTS)))
    (folder / "sort.py").write_text(STEP)
    (folder / "m.yaml").write_text(MANIFEST)
    done = winnow("run", "m.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def kept(output: Path) -> list[dict[str, Any]]:
    """Rows that the last step kept."""
    return corpus_rows(output)


def results(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "run_results.json").read_text())
    return found


def test_every_document_has_a_bucket_and_every_group_keeps_its_share(project: Path) -> None:
    counts = results(project / "out")["documents"]
    rows = kept(project / "out")
    assert {4} < {row["quality_bucket"] for row in rows} <= set(range(5))
    assert counts["dropped"]["keep"]["other_source"]["documents"] == DOCUMENTS
    (artifacts,) = files_of(project / "out", "keep.reduce", "artifacts/groups.parquet")
    groups = pq.read_table(artifacts).to_pylist()
    assert {group["by.topic"] for group in groups} == {None, "law", "people", "programs"}
    of_group = Counter((row["source"], row["topic"]) for row in rows)
    for group in groups:
        name = (group["by.source"], group["by.topic"])
        assert of_group[name] == group["kept_documents"] >= 0.6 * group["documents"]
        scores = [row["metrics"] for row in rows if (row["source"], row["topic"]) == name]
        assert min(scores) == group["threshold"]
    assert sum(group["documents"] for group in groups) == len(DOMAINS) * DOCUMENTS


def test_mixes_draw_what_their_parts_name(project: Path) -> None:
    metrics = results(project / "out")["extensions"]["proxy"]["mixes"]
    buckets = metrics["buckets-seed1"]["components"]
    assert [component["component"] for component in buckets] == [
        "web, quality_bucket 4",
        "web, quality_bucket 0 to 3",
        "code",
    ]
    assert [component["weight"] for component in buckets] == pytest.approx([0.5, 0.2, 0.3])
    law, people, programs = metrics["topics-seed1"]["components"]
    of_topic = Counter(row["topic"] for row in kept(project / "out") if row["source"] == "web")
    # Half of the tokens need not be half of the documents.
    assert law["available_documents"] == of_topic["law"]
    assert programs["available_documents"] == of_topic["programs"]
    assert 0 < people["available_documents"] < of_topic["people"]
    assert people["low"] > 0
    report = (project / "out" / "report.html").read_text()
    assert "web, topic people, metrics top 50%" in report
    assert "Thresholds, and what they left" in report
    assert "web, law" in report


def test_a_category_that_is_nowhere_ends_the_run_with_those_that_are(
    project: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "project"))
    done = winnow("run", "m.yaml", "--set", "mixes.topics.web.0.topic=lwa", cwd=copy)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "no training document of 'web' has 'lwa' in the column 'topic'" in said
    assert "there are: 'law', 'people', 'programs'" in said


def test_one_worker_makes_the_same_files_as_two(project: Path) -> None:
    alone = ("--output", "alone", "--set", "store=alone-store", "--set", "executor.workers=1")
    done = winnow("run", "m.yaml", *alone, cwd=project)
    assert done.returncode == 0, done.stderr
    one, both = contents(project / "alone"), contents(project / "out")
    for name in ("ensemble", "keep", "mix"):
        mine = {path: data for path, data in one.items() if name in path.split("/")[0]}
        assert mine
        assert {path: both.get(path) for path in mine} == mine
