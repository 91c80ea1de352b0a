"""Jobs and what is told of them, as lines of JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelling_jobs import GRADES, job_for, words
from pydantic import ValidationError
from scripted_server import ScriptedServer

from classifiers.judges.judge_identity import Wording
from classifiers.judges.rubric import load_rubric, shipped
from classifiers.labelling.labelling_job import Job, Pass, WorkerStatus


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


def test_fields_that_nobody_knows_are_refused(job: Job) -> None:
    with pytest.raises(ValidationError):
        Job.model_validate({**job.model_dump(), "more": 1})
    with pytest.raises(ValidationError):
        WorkerStatus.model_validate_json('{"finished": true}')
