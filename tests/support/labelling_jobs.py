"""Jobs for labelling workers that ask a scripted server, and what is left of them in the store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scripted_server import Asked, ScriptedServer
from tiny_model import make_tokenizer

from classifiers.judges.judge_config import EndpointSpec, Prices
from classifiers.judges.judge_identity import Wording
from classifiers.judges.judge_tokenizer import JudgeTokenizer
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import Attempt, LabelStore, Stored
from classifiers.labelling.labelling_job import Job, Pass, WorkerStatus
from classifiers.labelling.labelling_worker import LabellingWorker
from pipeline.engine.processes import process_birth

LICENSE = Path(__file__).parents[2] / "LICENSE"
GRADES = Rubric(
    name="grades",
    version=1,
    instruction="You grade short texts.",
    attributes={
        "clarity": Attribute(
            question="How clear is it?", scale={"0": "not", "1": "a little", "2": "very"}
        )
    },
)


def words(count: int, start: int = 0) -> list[str]:
    """So many texts, all different and of about the same length."""
    numbers = range(start, start + count)
    return [f"Text number {number:06d} speaks of number {number:06d}." for number in numbers]


def judge_folder(folder: Path) -> Path:
    """A folder ``judge`` with a tokenizer, which is all of a model that an endpoint needs."""
    path = folder / "judge"
    if not path.exists():
        make_tokenizer(LICENSE.read_text().splitlines(keepends=True)).save_pretrained(path)
    return path


def job_for(
    folder: Path,
    server: ScriptedServer,
    texts: Sequence[str],
    *,
    rubric: Rubric = GRADES,
    price: Prices | None = None,
    spec: dict[str, Any] | None = None,
    **changes: Any,
) -> Job:
    """A job about ``texts`` for the server; ``changes`` are fields of the job."""
    judge_folder(folder)
    file = folder / "texts.parquet"
    pq.write_table(pa.table({"text": pa.array(list(texts), pa.large_string())}), file)
    endpoint = {"kind": "endpoint", "url": server.url, "model": "judge", "price": price or Prices()}
    whole: dict[str, Any] = {
        "id": "job",
        "store": folder / "labels.sqlite",
        "folder": folder,
        "log": folder / "worker.log",
        "rubric": rubric,
        "server": EndpointSpec(**endpoint | (spec or {})),
        "keep": "head",
        "rationale_tokens": 0,
        "least_mass": 0.5,
        "most_errors": 0.05,
        "most_at_once": 64,
        "budget": Budget(),
        "passes": (Pass(texts=file, limit=256),),
    }
    return Job(**whole | changes)


def wording(job: Job) -> Wording:
    return job.passes[0].wording(job)


def labels(job: Job) -> list[Stored]:
    store = LabelStore(job.store)
    found = list(store.labels())
    store.close()
    return found


def attempts(job: Job, purpose: str = "document") -> list[Attempt]:
    """The ledger of a job, without the probes."""
    store = LabelStore(job.store)
    found = [attempt for attempt in store.attempts(job.id) if attempt.purpose == purpose]
    store.close()
    return found


def outcomes(job: Job) -> Counter[str]:
    return Counter(attempt.outcome for attempt in attempts(job))


def claims(job: Job) -> int:
    """How many documents somebody says to be asking about."""
    store = LabelStore(job.store)
    (count,) = store._db.execute("select count(*) from claimed").fetchone()
    store.close()
    return int(count)


def is_about_a_text(job: Job) -> Callable[[Asked], bool]:
    """Whether a request is about one of ``words``, and none of the worker's own."""
    part = JudgeTokenizer(job.folder / "judge").documents(["Text number"], 16, "head")[0]

    def decide(asked: Asked) -> bool:
        return any(_holds(prompt, part) for prompt in asked.prompts)

    return decide


def _holds(whole: Sequence[int], part: Sequence[int]) -> bool:
    size = len(part)
    return any(list(whole[at : at + size]) == list(part) for at in range(len(whole) - size + 1))


def run_here(job: Job) -> WorkerStatus:
    """Have the job done by a labelling worker in this very process. Raises what it cannot do."""

    async def done() -> WorkerStatus:
        worker = LabellingWorker(job)
        try:
            await worker.run()
            return worker.status()
        finally:
            worker.store.close()

    return asyncio.run(done())


LAUNCHER = """
import sys
from pathlib import Path
from classifiers.labelling.labelling_job import Job, run_job
print(run_job(Job.model_validate_json(Path(sys.argv[1]).read_text())).model_dump_json())
"""


def launch(job: Job, name: str = "job", first: str = "") -> subprocess.Popen[str]:
    """A process that has a labelling worker do the job, after the line of code ``first``."""
    file = job.folder / f"{name}.json"
    file.write_text(job.model_dump_json())
    command = [sys.executable, "-c", first + LAUNCHER, str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def worker_of(launcher: subprocess.Popen[str]) -> int:
    """The process that the launcher has started, once it is there."""
    found: list[int] = []

    def look() -> bool:
        found.extend(children(launcher.pid))
        return bool(found)

    until(look)
    return found[0]


def children(pid: int) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if parent(path) == pid
    ]  # fmt: skip


def parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_gone(pid: int) -> bool:
    return process_birth(pid) is None


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def kill(pid: int, number: int) -> None:
    os.kill(pid, number)
