"""Questions reach a labelling worker, labels come from the store; texts without words stay here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelling_jobs import GRADES, judge_folder, words
from scripted_server import ScriptedServer

from classifiers.judges.judge_config import EndpointSpec, Prices
from classifiers.judges.judge_identity import Wording
from classifiers.judges.judge_tokenizer import CHARACTERS_PER_TOKEN
from classifiers.labelling import questions as module
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import LabelStore
from classifiers.labelling.labelling_job import Job, WorkerStatus
from classifiers.labelling.questions import LabellingSettings, Question, ask, shortened
from pipeline.errors import ShardError

TERMS = LabellingSettings("head", 0, 0.5, 0.05, 64, Budget())


def server_of(url: str = "http://127.0.0.1:9", **more: Any) -> EndpointSpec:
    return EndpointSpec(kind="endpoint", url=url, model="judge", **more)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache" / "labels.sqlite"
    monkeypatch.setenv("WINNOW_LABELS", str(path))
    return path


class LabellingWorker:
    """Stands in for ``do_job``: keeps the jobs, and their files while they are there."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.texts: list[dict[str, list[str]]] = []

    def __call__(self, job: Job, progress: Any) -> WorkerStatus:
        self.jobs.append(job)
        read = {part.purpose: pa.parquet.read_table(part.texts) for part in job.passes}
        self.texts.append({name: table["text"].to_pylist() for name, table in read.items()})
        LabelStore(job.store).close()
        return WorkerStatus(ended=True, judge="j")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, store: Path) -> LabellingWorker:
    import pyarrow.parquet  # noqa: F401

    worker = LabellingWorker()
    monkeypatch.setattr(module, "run_job", worker)
    return worker


def test_a_worker_asks_once_and_the_store_answers_from_then_on(tmp_path: Path, store: Path) -> None:
    judge_folder(tmp_path)
    texts = [*words(12), "!!!", words(1)[0]]
    asked = {"document": Question(texts, 64), "retest": Question(texts[:3], 64, repeat=1)}
    steps: list[tuple[float, float]] = []
    with ScriptedServer() as server:
        status, found = ask(
            server_of(server.url), GRADES, asked, TERMS, tmp_path, lambda *at: steps.append(at)
        )
        assert [label is None for label in found["document"]] == [False] * 12 + [True, False]
        assert found["document"][0] == found["document"][-1]
        assert [label.repeat for label in found["retest"] if label] == [1, 1, 1]
        assert steps[-1][1] == 15, "each distinct text once, and three of them again"
        once = len(server.requests)
        again = ask(server_of(server.url), GRADES, asked, TERMS, tmp_path, lambda done, total: None)
        assert len(server.requests) == once
    assert again[0].judge == status.judge
    assert again[1] == found


def test_what_the_worker_cannot_do_is_an_error_with_its_hint(tmp_path: Path, store: Path) -> None:
    spec = server_of(key_env="NO_SUCH_KEY")
    judge_folder(tmp_path)
    with pytest.raises(ShardError) as caught:
        ask(spec, GRADES, {"document": Question(["x"], 64)}, TERMS, tmp_path, lambda *at: None)
    assert caught.value.code == "no-key"
    assert "export NO_SUCH_KEY" in caught.value.hint


@pytest.mark.parametrize("texts", [[], ["", " ", "…"]])
def test_no_judge_is_asked_about_nothing(
    worker: LabellingWorker, store: Path, texts: list[str]
) -> None:
    asked = {"document": Question(texts, 64)}
    status, found = ask(server_of(), GRADES, asked, TERMS, Path(), lambda *at: None)
    assert (status.ended, found) == (True, {"document": [None] * len(texts)})
    assert worker.jobs == []
    assert not store.exists()


def test_the_job_says_all_and_its_files_go_with_it(worker: LabellingWorker, store: Path) -> None:
    asked = {
        "document": Question(["a", "", "b"], 64),
        "blank": Question(["?"], 64),
        "position": Question(["b"], 32, reverse=True),
    }
    _, found = ask(server_of(), GRADES, asked, TERMS, Path(), lambda *at: None)
    (job,) = worker.jobs
    assert worker.texts == [{"document": ["a", "b"], "position": ["b"]}]
    assert (job.store, job.log) == (store, store.with_name("server.log"))
    assert job.folder.is_absolute()
    assert [(p.purpose, p.limit, p.reverse) for p in job.passes] == [
        ("document", 64, False), ("position", 32, True)
    ]  # fmt: skip
    assert job.passes[1].wording(job) == Wording(GRADES, 32, reverse=True)
    assert not any(part.texts.exists() for part in job.passes)
    assert {name: len(labels) for name, labels in found.items()} == {
        "document": 3, "blank": 1, "position": 1
    }  # fmt: skip


def test_a_job_goes_on_in_its_ledger_when_money_and_place_alone_change(
    worker: LabellingWorker,
) -> None:
    def job_id(spec: EndpointSpec, texts: list[str], settings: LabellingSettings) -> str:
        question = {"document": Question(texts, 64)}
        ask(spec, GRADES, question, settings, Path(), lambda *at: None)
        return worker.jobs[-1].id

    first = job_id(server_of(), ["a", "b"], TERMS)
    cheap = server_of("https://elsewhere", price=Prices(prompt=3), key_env="KEY")
    richer = replace(TERMS, budget=Budget(tokens=9), most_at_once=1, most_errors=0.5, least_mass=0)
    assert job_id(cheap, ["a", "b"], richer) == first
    assert job_id(server_of(), ["b", "a"], TERMS) != first
    assert job_id(server_of(revision="x"), ["a", "b"], TERMS) != first
    assert job_id(server_of(), ["a", "b"], replace(TERMS, keep="ends")) != first
    assert job_id(server_of(), ["a", "b"], replace(TERMS, rationale_tokens=9)) != first


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5),
    st.integers(1, 3),
    st.sampled_from([1, 30, 400]),
)
def test_shortened_is_what_tokens_may_be_made_of(
    given_texts: list[str], limit: int, times: int
) -> None:
    texts = [text * times for text in given_texts]
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    most = limit * CHARACTERS_PER_TOKEN
    assert shortened(column, limit, "head").to_pylist() == [text[:most] for text in texts]
    ends = shortened(column, limit, "ends")
    assert ends.type == column.type
    assert ends.to_pylist() == [
        text if len(text) <= most else text[: most // 2] + text[-(most // 2) :] for text in texts
    ]
