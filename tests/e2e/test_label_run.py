"""A manifest with a label step, through command line and worker, against a scripted judge."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from label_project import DOCUMENTS, SOURCES, LabelProject
from labelling_jobs import judge_folder
from scripted_server import ScriptedServer
from small_runs import contents

from classifiers.judges.judge_identity import folder_revision

CHECKS = {
    "gold": {"path": "gold.jsonl", "threshold": 1},
    "retest": 6,
    "position": 6,
    "truncation": 6,
    "injection_probes": 1,
}
SECRET = "secret-of-a-key"


@dataclass(frozen=True)
class Labelled:
    """A finished run, with what the judge was asked for it."""

    project: LabelProject
    server: ScriptedServer
    requests: int


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelled]:
    folder = tmp_path_factory.mktemp("label")
    rows = [{"text": f"A graded text {n}.", "label": n % 3, "source": "people"} for n in range(12)]
    (folder / "gold.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    revision = folder_revision(judge_folder(folder))[:16]
    with ScriptedServer() as server:
        project = LabelProject(folder, server, checks=CHECKS)
        project.write(server={**project.step["server"], "revision": revision, "key_env": "J_KEY"})
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("J_KEY", SECRET)
            project.run()
        yield Labelled(project, server, len(server.requests))


def test_every_document_goes_on_and_the_sampled_ones_have_labels(labelled: Labelled) -> None:
    rows = labelled.project.documents()
    assert len(rows) == 2 * DOCUMENTS
    asked = [row for row in rows if row["clarity_p"] is not None]
    assert len(asked) == 60
    for row in asked:
        p = row["clarity_p"]
        assert sum(p.values()) == pytest.approx(1, abs=1e-6)
        assert row["clarity"] == pytest.approx(p["1"] + 2 * p["2"], abs=1e-5)
        assert row["kind"] == max(row["kind_p"], key=row["kind_p"].get)
    others = [row for row in rows if row["clarity_p"] is None]
    assert all(row["clarity"] is row["kind"] is row["kind_p"] is None for row in others)
    strata = Counter((row["source"], row["language"]) for row in asked)
    assert set(strata) == {(source, name) for source in SOURCES for name in ("en", None)}


def test_findings_say_where_each_label_is_and_what_it_stands_for(labelled: Labelled) -> None:
    rows = pq.read_table(labelled.project.artifacts("labels.parquet")).to_pylist()
    assert sum(row["weight"] for row in rows) == pytest.approx(2 * DOCUMENTS)
    assert all(0 < row["clarity_mass"] < 1 and row["clarity_error"] is None for row in rows)
    documents = labelled.project.documents()
    by_place = {(number // DOCUMENTS, number % DOCUMENTS): d for number, d in enumerate(documents)}
    for row in rows:
        assert by_place[row["shard"], row["row"]]["clarity_p"] == row["clarity_p"]
        source, _, language = row["stratum"].split(" · ")
        document = by_place[row["shard"], row["row"]]
        assert (source, language) == (document["source"], document["language"] or "no language")


def test_the_report_has_a_section_on_the_judge(labelled: Labelled) -> None:
    card = labelled.project.card()
    page = (labelled.project.folder / "out" / "report.html").read_text()
    assert "Agreement: label" in page
    assert "What these labels cost" in page
    metrics = card["agreement"]["attributes"]["clarity"]
    assert metrics["asked"] == metrics["labelled"] == 60
    assert metrics["retest"]["difference"]["n"] == 6
    assert {"gold", "position", "truncation", "injection_probes"} <= set(metrics)
    assert set(metrics["spread"]["sources"]) == set(SOURCES)
    assert f"{card['cost']['prompt_tokens']:,}" in page


def test_what_has_nothing_to_do_with_labels_keeps_them(labelled: Labelled) -> None:
    project = labelled.project
    before = dict(project.step)
    server = {**before["server"], "url": "http://127.0.0.1:9", "price": {"prompt": 3}}
    try:
        project.write(server=server, budget={"tokens": 9}, max_concurrency=3)
        done = project.run()
    finally:
        project.write(**before)
        project.step.pop("budget")
        project.step.pop("max_concurrency")
        project.write()
    assert "6 of 6 stages reused" in done.stdout
    assert len(labelled.server.requests) == labelled.requests


def test_no_key_and_no_address_is_in_what_a_run_leaves(labelled: Labelled) -> None:
    address = labelled.server.url.encode()
    for path in labelled.project.folder.rglob("*"):
        if path.is_file() and path != labelled.project.manifest:
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            # The manifest itself is part of the report and of the results.
            shown = path.suffix == ".html" or path.name == "run_results.json"
            assert address not in content or shown, path


def test_labels_taken_along_serve_a_machine_without_server_and_model(
    labelled: Labelled, tmp_path: Path
) -> None:
    export = tmp_path / "new" / "folder" / "labels.zst"
    here = labelled.project
    out = here.winnow("label", "--export", export)
    assert out.returncode == 0, out.stderr
    there = LabelProject(tmp_path / "there")
    there.write(**here.step)
    there.write(server={**here.step["server"], "url": "http://127.0.0.1:9"})
    shutil.rmtree(there.folder / "judge")
    shutil.copy(here.folder / "gold.jsonl", there.folder)
    done = there.winnow("label", "m.yaml", "--import", export, "--costs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "new labels, 0 known" in done.stdout
    assert "done in" in done.stdout
    files = contents(there.folder / "out")
    assert files == contents(here.folder / "out"), "the same manifest, the same bytes"


def test_another_output_folder_asks_nothing(labelled: Labelled) -> None:
    labelled.project.run("--output", "other", "--set", "store=other-store")
    assert len(labelled.server.requests) == labelled.requests
    assert labelled.project.documents("other") == labelled.project.documents()


def test_a_spent_budget_ends_a_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        project = LabelProject(tmp_path, server, sample={"documents": 40})
        project.write(budget={"tokens": 20_000}, max_concurrency=4)
        done = project.winnow("run", "m.yaml")
        assert done.returncode == 1
        assert "budget-spent" in done.stderr
        assert "raise label.budget" in done.stderr
        bought = labels_in(project.store)
        assert 0 < bought < 40
        assert server.tokens["prompt"] + server.tokens["generation"] <= 20_000
        project.write(budget={"tokens": 200_000})
        project.run()
        assert labels_in(project.store) == 40
    documents = [asked for asked in server.answered if any(len(p) > 50 for p in asked.prompts)]
    bodies = Counter(json.dumps(asked.json, sort_keys=True) for asked in documents)
    twice = [body for body, times in bodies.items() if times > 1]
    assert len(twice) <= PROBES_AND_FIRST_WORDS, "no document was asked about twice"


PROBES_AND_FIRST_WORDS = 4 + 2


def labels_in(store: Path) -> int:
    database = sqlite3.connect(store)
    try:
        return int(database.execute("select count(*) from labels").fetchone()[0])
    finally:
        database.close()
