"""Fault 56: the key of a labeller is in no message, log, store or process list, whatever the
server says back. A canary is looked for in every byte that is left."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from labelling_jobs import is_about_a_text, job_for, launch, run_here, words
from scripted_server import Asked, Reply, ScriptedServer

from classifiers.judges.judge import RequestError
from classifiers.labelling.labelling_job import Job

CANARY = "sk-canary-5b1d8c40f2a94e7d"
SPEC = {"key_env": "JUDGE_KEY"}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", CANARY + "\n")


def left_behind(folder: Path) -> list[str]:
    """Files with the canary in them."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def finished(job: Job) -> tuple[int, str]:
    """Exit code of a process that has the job done, and its error output."""
    launcher = launch(job)
    out, said = launcher.communicate(timeout=120)
    assert CANARY not in out + said
    assert left_behind(job.folder) == []
    return launcher.returncode, said


def complaint(job: Job) -> str:
    """What a labelling worker in this process says of what it cannot do; empty when it can."""
    said = ""
    try:
        run_here(job)
    except RequestError as failure:
        said = f"{failure} hint: {failure.hint}"
    assert CANARY not in said
    assert left_behind(job.folder) == []
    return said


def test_key_is_sent_and_stays_nowhere(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        job = job_for(tmp_path, server, words(20), spec=SPEC, rationale_tokens=16)
        is_document = is_about_a_text(job)
        seen: list[str] = []

        def script(asked: Asked) -> Reply | None:
            if not is_document(asked):
                return None
            seen.append(subprocess.check_output(["ps", "axww"], text=True)) if not seen else None
            said = server.honest(asked)
            for choice in said["choices"]:  # it repeats the key in its reasons
                choice.pop("token_ids")
                choice["text"] = f"your key is {CANARY}"
            return Reply(body=json.dumps(said).encode())

        server.script = script
        code, said = finished(job)
    assert code == 0, said
    assert {asked.headers["Authorization"] for asked in server.requests} == {f"Bearer {CANARY}"}
    assert CANARY not in seen[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_key_that_a_server_repeats_in_an_error_is_hidden(tmp_path: Path, status: int) -> None:
    message = f"Incorrect key provided: {CANARY}. Bearer {CANARY}"
    body = json.dumps({"error": {"message": message}}).encode()

    def script(asked: Asked) -> Reply | None:
        return Reply(status, body) if asked.number == 0 or status in (401, 403, 404) else None

    with ScriptedServer(script=script) as server:
        said = complaint(job_for(tmp_path, server, words(5), spec=SPEC))
    if status in (401, 403, 404):
        assert "(key)" in said


def test_key_is_not_sent_on_to_where_a_server_points(tmp_path: Path) -> None:
    with ScriptedServer() as elsewhere:
        moved = Reply(307, headers={"Location": f"{elsewhere.url}/v1/completions"})
        with ScriptedServer(script=lambda asked: moved) as server:
            said = complaint(job_for(tmp_path, server, words(3), spec=SPEC))
    assert "http-307" in said
    assert elsewhere.requests == []


def test_key_is_in_no_message_when_the_server_goes(tmp_path: Path) -> None:
    with ScriptedServer(script=lambda asked: Reply(cut=True)) as server:
        said = complaint(job_for(tmp_path, server, words(3), spec=SPEC))
    assert "unreachable" in said


def test_key_is_in_no_message_of_the_run_that_has_it_done(tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": f"Bearer {CANARY} is no good"}}).encode()
    with ScriptedServer(script=lambda asked: Reply(401, body)) as server:
        code, said = finished(job_for(tmp_path, server, words(3), spec=SPEC))
    assert (code, "not-authorised 401: Bearer (key) is no good" in said) == (1, True)
