"""Labelling by a real vLLM while the run, or the engine, is killed again and again.

What holds all the same: every document has its label once, the server has answered no prompt twice,
and the ledger is what the server has counted itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from gateway import Gateway
from small_runs import corpus_rows
from tiny_model import make_tiny_model
from vllm_cpu import ARGS, ENVIRONMENT, vllm_command

from classifiers.judges.process_guard import living
from classifiers.judges.vllm_server import VllmServer

pytestmark = pytest.mark.slow

DOCUMENTS = 1_000
RUBRIC = {
    "name": "short",
    "version": 1,
    "instruction": "Grade texts.",
    "attributes": {
        "worth": {"question": "How good?", "scale": {str(grade): "so" for grade in range(6)}}
    },
}
WINNOW = (sys.executable, "-m", "pipeline.cli")
PATIENCE_S = 240


@dataclass(frozen=True)
class Place:
    """A folder with documents, a model and a label store of its own."""

    folder: Path
    environment: dict[str, str]

    def manifest(self, name: str, server: dict[str, Any], documents: int = DOCUMENTS) -> str:
        """Write a manifest that labels ``documents``; its file name."""
        step = {
            "rubric": "rubric.yaml",
            "server": server,
            "sample": {"documents": documents},
            "max_tokens": 256,
            "min_mass": 0.3,
        }
        whole = {
            "name": name,
            "seed": 3,
            "sources": {"docs": {"format": "jsonl", "paths": "docs.jsonl"}},
            "steps": [{"label": step}],
        }
        (self.folder / f"{name}.yaml").write_text(json.dumps(whole))
        return f"{name}.yaml"

    def start(self, manifest: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*WINNOW, "label", manifest],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.environment["WINNOW_LABELS"])) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path, shared_data: Path, root: Path) -> Place:
    with pa.CompressedInputStream(str(shared_data / "domains/wiki.jsonl.zst"), "zstd") as file:
        rows = [orjson.loads(line) for line in file.read().splitlines()[:DOCUMENTS]]
    texts = [f"{number}. {row['text'][:250]}" for number, row in enumerate(rows)]
    (tmp_path / "docs.jsonl").write_bytes(
        b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)
    )
    (tmp_path / "rubric.yaml").write_text(json.dumps(RUBRIC))
    make_tiny_model(tmp_path / "judge", texts[:300])
    environment = os.environ | ENVIRONMENT | {"WINNOW_LABELS": str(tmp_path / "labels.sqlite")}
    environment["WINNOW_VLLM"] = str(vllm_command(root))
    return Place(tmp_path, environment)


@pytest.fixture
def vllm(place: Place, root: Path) -> Iterator[VllmServer]:
    server = VllmServer(
        place.folder / "judge",
        args=ARGS,
        command=vllm_command(root),
        log=place.folder / "vllm.log",
        environment=ENVIRONMENT,
    )
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def wait_until(condition: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for ``condition``; also over when the process has ended."""
    end = time.monotonic() + PATIENCE_S
    while not condition() and (process is None or process.poll() is None):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def finished(process: subprocess.Popen[bytes]) -> str:
    output = process.communicate(timeout=PATIENCE_S)[0].decode()
    assert process.returncode == 0, output
    return output


def labels_in(folder: Path) -> list[Any]:
    """Scores of all documents in the output of a run."""
    found: list[Any] = []
    for row in corpus_rows(folder):
        found.append(row["worth"])
    return found


def test_a_run_killed_at_random_pays_for_no_label_twice(place: Place, vllm: VllmServer) -> None:
    chance = random.Random(20_26)
    before = asyncio.run(vllm.counters())
    with Gateway(vllm.url) as gateway:
        server = {"kind": "endpoint", "url": gateway.url, "model": str(place.folder / "judge")}
        manifest = place.manifest("killed", server)
        kills = 0
        for share in (0.1, 0.3, 0.5, 0.7):
            process = place.start(manifest)
            enough = DOCUMENTS * (share + chance.uniform(0, 0.1))
            wait_until(lambda n=enough: len(gateway.log) >= n, process)
            if process.poll() is None:
                kills += 1
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            # The next run begins while the last one's worker still writes down its answers.
        finished(place.start(manifest))
        answered = gateway.answered()
    assert kills == 4
    labels = labels_in(place.folder / "runs/killed")
    assert len(labels) == DOCUMENTS
    assert None not in labels
    # Every prompt about a document was answered once: the log of the server's own answers says so.
    prompts = Counter(json.dumps(body["prompt"]) for body in answered)
    about_documents = place.rows("select count(*), count(distinct key) from attempts "
                                 "where purpose = 'document' and outcome = 'labelled'")  # fmt: skip
    assert about_documents == [(DOCUMENTS, DOCUMENTS)]
    probes = place.rows("select count(*) from attempts where purpose = 'probe'")[0][0]
    assert sum(prompts.values()) >= DOCUMENTS
    assert len([1 for count in prompts.values() if count == 1]) >= DOCUMENTS
    repeated = sum(count for count in prompts.values() if count > 1)
    assert repeated <= 7 * (kills + 1) + probes, "only probes are asked again, once per run"
    # The ledger and the server agree to the token.
    after = asyncio.run(vllm.counters())
    ledger = place.rows("select sum(prompt_tokens), sum(completion_tokens) from attempts")[0]
    assert ledger == (after.prompt - before.prompt, after.generated - before.generated)
    assert place.rows("select count(*) from attempts where outcome = 'lost'") == [(0,)]


def is_engine(pid: int) -> bool:
    """vLLM's engine and its workers name themselves so; helpers of Python beside them do not."""
    return Path(f"/proc/{pid}/comm").read_text().startswith("VLLM::")


def engines(folder: Path) -> list[int]:
    """Process ids of the engine, and its workers, that serve a model in this folder."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"serve" in words and str(folder / "judge").encode() in words:
                pid = int(path.parent.name)
                found += [other for other in living(os.getpgid(pid)) if is_engine(other)]
    return sorted(set(found))


def test_an_engine_killed_at_random_costs_no_label(place: Place) -> None:
    chance = random.Random(4)
    options = dict(zip((a.lstrip("-") for a in ARGS[:-1:2]), ARGS[1::2], strict=False))
    server = {"kind": "vllm", "model": "judge", "args": {**options, "enforce-eager": True}}
    manifest = place.manifest("dying", server)

    def labelled() -> int:
        path = Path(place.environment["WINNOW_LABELS"])
        try:
            return int(place.rows("select count(*) from labels")[0][0]) if path.exists() else 0
        except sqlite3.OperationalError:  # not made yet
            return 0

    process = place.start(manifest)
    enough = DOCUMENTS * chance.uniform(0.2, 0.6)
    wait_until(lambda: labelled() >= enough, process)
    assert process.poll() is None, process.communicate()[0].decode()
    running = engines(place.folder)
    assert running
    os.kill(chance.choice(running), signal.SIGKILL)
    finished(process)
    labels = labels_in(place.folder / "runs/dying")
    assert len(labels) == DOCUMENTS
    assert None not in labels
    attempts = place.rows("select count(*), count(distinct key) from attempts "
                          "where purpose = 'document' and outcome = 'labelled'")  # fmt: skip
    assert attempts == [(DOCUMENTS, DOCUMENTS)]
    # The engine that died took its counters along; the other one's agree with the ledger, which
    # also has what the dead one had answered.
    lives = place.rows("select prompt_tokens, completion_tokens from engines order by rowid")
    assert [life == (None, None) for life in lives] == [True, False]
    ledger = place.rows("select sum(prompt_tokens), sum(completion_tokens) from attempts")[0]
    assert ledger[0] > lives[1][0]
    assert engines(place.folder) == []
