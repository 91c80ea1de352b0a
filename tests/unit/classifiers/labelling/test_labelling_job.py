"""A job survives JSON, and its worker is launched and waited for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from labelling_jobs import GRADES, job_for, labels, words
from pydantic import ValidationError
from scripted_server import ScriptedServer

from classifiers.judges.judge_identity import Wording
from classifiers.judges.rubric import load_rubric, shipped
from classifiers.labelling import labelling_job
from classifiers.labelling.labelling_job import Job, Pass, WorkerStatus, last_lines, run_job
from pipeline.errors import ShardError


@pytest.fixture
def job(tmp_path: Path) -> Job:
    with ScriptedServer() as server:
        return job_for(tmp_path, server, words(1), rationale_tokens=7, keep="ends")


def test_a_job_is_one_line_and_comes_back_as_it_was(job: Job) -> None:
    line = job.model_dump_json()
    assert "\n" not in line
    assert Job.model_validate_json(line) == job


@pytest.mark.parametrize("name", shipped())
def test_rubrics_keep_their_order_on_the_way(job: Job, name: str) -> None:
    """It decides the letters of categories, and so the key of a label."""
    rubric = load_rubric(name, Path("."))
    sent = job.model_copy(update={"rubric": rubric})
    received = Job.model_validate_json(sent.model_dump_json())
    assert received.rubric.digest == rubric.digest
    assert sent.passes[0].wording(sent).id == received.passes[0].wording(received).id


def test_passes_ask_as_the_job_says_but_for_limit_and_order(job: Job) -> None:
    part = Pass(texts=Path("x"), limit=9, reverse=True)
    assert part.wording(job) == Wording(GRADES, 9, "ends", 7, True)


def test_unknown_fields_are_refused(job: Job) -> None:
    with pytest.raises(ValidationError):
        Job.model_validate({**job.model_dump(), "more": 1})
    with pytest.raises(ValidationError):
        WorkerStatus.model_validate_json('{"finished": true}')


def test_progress_is_reported_to_the_end_and_the_log_is_made(tmp_path: Path) -> None:
    told_of: list[tuple[float, float]] = []
    with ScriptedServer(delay=0.02) as server:
        log = tmp_path / "folder" / "worker.log"
        job = job_for(tmp_path, server, words(120), log=log)
        status = run_job(job, lambda done, total: told_of.append((done, total)))
    assert (status.done, status.total, status.ended, status.code) == (120, 120, True, "")
    assert told_of[-1] == (120, 120)
    assert [done for done, _ in told_of] == sorted(done for done, _ in told_of)
    assert log.exists()
    assert len(labels(job)) == 120


class LabellingWorker:
    """Another program in the worker's place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        start = subprocess.Popen

        def popen(command: list[str], **more: object) -> subprocess.Popen[bytes]:
            assert command[-1] == "classifiers.labelling.labelling_worker"
            return start([sys.executable, "-c", code], **more)  # type: ignore[call-overload]

        monkeypatch.setattr(labelling_job.subprocess, "Popen", popen)


def some_job(folder: Path) -> Job:
    with ScriptedServer() as server:
        return job_for(folder, server, words(3))


def test_a_worker_that_dies_is_reported_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; sys.stdin.readline(); sys.exit('out of luck')"
    job = some_job(tmp_path)
    LabellingWorker(monkeypatch, code)
    with pytest.raises(ShardError, match="ended with code 1") as caught:
        run_job(job)
    assert caught.value.code == "labelling-died"
    assert "out of luck" in caught.value.hint


def test_a_worker_that_reads_nothing_is_reported_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is larger than a pipe holds."""
    long = GRADES.model_copy(update={"instruction": "Judge. " * 50_000})
    job = some_job(tmp_path).model_copy(update={"rubric": long})
    LabellingWorker(monkeypatch, "import sys; sys.exit(3)")
    with pytest.raises(ShardError, match="ended with code 3"):
        run_job(job)


def test_what_libraries_print_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["Loading weights: 100%", '{"no": "told"}', WorkerStatus(done=3, total=3, ended=True).model_dump_json()]  # fmt: skip  # noqa: E501
    job = some_job(tmp_path)
    LabellingWorker(monkeypatch, f"print({chr(10).join(lines)!r})")
    assert run_job(job) == WorkerStatus(done=3, total=3, ended=True)


def test_what_a_worker_could_not_do_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = WorkerStatus(
        ended=True, code="budget-spent", message="spent", hint="raise it"
    ).model_dump_json()
    job = some_job(tmp_path)
    LabellingWorker(monkeypatch, f"print({line!r})")
    with pytest.raises(ShardError, match="spent") as caught:
        run_job(job)
    assert (caught.value.code, caught.value.hint) == ("budget-spent", "raise it")


def test_last_lines_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(20)))
    assert last_lines(path, 2) == "line 18 \ufffd\nline 19 \ufffd"
