"""Our side: a whole job of the worker, timed from its first question to its last answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.served.sides import Ran, Server, pin
from classifiers.judges.answers import Answer
from classifiers.judges.completions_judge import CompletionsJudge
from classifiers.judges.http_client import Connection
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_config import EndpointSpec, ServerSpec, TransformersSpec
from classifiers.judges.judge_identity import Wording
from classifiers.judges.local_judge import LocalJudge, Model
from classifiers.judges.prompts import PromptMakers
from classifiers.judges.rubric import load_rubric
from classifiers.labelling import labelling_worker, server_launcher
from classifiers.labelling.label_config import Budget
from classifiers.labelling.labelling_job import Job, Pass, WorkerStatus
from classifiers.labelling.request_loop import RequestLoop

MOST_ERRORS = 0.05
_loop: ContextVar[list[Mapping[str, Any]] | None] = ContextVar("_asking", default=None)


class Asked(NamedTuple):
    """What is asked about every text. ``texts`` is a Parquet file; ``salt`` keeps a run from the
    prefix cache that another has filled (all salts are of equal length)."""

    texts: Path
    rubric: str
    limit: int
    rationale_tokens: int
    most_at_once: int
    salt: str = ""


class Salted(Connection):
    """Adds the run's salt to requests, and keeps those that are about documents."""

    salt: ClassVar[str] = ""

    async def post(self, path: str, payload: Mapping[str, Any]) -> bytes:
        whole = {**payload, "cache_salt": self.salt} if self.salt else payload
        if (chain := _loop.get()) is not None:
            chain.append(whole)
        return await super().post(path, whole)


class Recording(CompletionsJudge):
    """Keeps what it asks: a chain of requests for every document."""

    chains: ClassVar[list[list[Mapping[str, Any]]]] = []

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        chain: list[Mapping[str, Any]] = []
        if request.purpose != "probe":
            self.chains.append(chain)
        _loop.set(chain)
        return await super().ask(request)


class RecordingModel:
    """A model that keeps what it is asked, as requests."""

    def __init__(self, model: Model) -> None:
        self._model, self.max_length = model, model.max_length
        self.keeps = False

    def logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        if self.keeps:
            asked = {"prompt": list(prompts), "logprob_token_ids": list(label_ids)}
            Recording.chains.append([asked])
        return self._model.logprobs(prompts, label_ids)

    def generate(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        if self.keeps:
            Recording.chains.append([{"prompt": list(prompts), "max_tokens": max_tokens}])
        return self._model.generate(prompts, max_tokens)


class RecordingLocal(LocalJudge):
    """Keeps what it asks about documents; what it asks at once has one purpose."""

    def __init__(self, model: Model, makers: PromptMakers) -> None:
        self._recording = RecordingModel(model)
        super().__init__(self._recording, makers)

    def _answers(
        self, requests: Sequence[LabelRequest], wording: Wording
    ) -> list[tuple[Answer, Usage] | Exception]:
        self._recording.keeps = requests[0].purpose != "probe"
        return super()._answers(requests, wording)


class Timed(RequestLoop):
    """Keeps how long the requests took."""

    seconds = cpu = 0.0
    limit = 0

    async def run(self, requests: AsyncGenerator[LabelRequest, None]) -> None:
        cls = type(self)
        begun, cpu = time.monotonic(), time.process_time()
        await super().run(requests)
        cls.seconds, cls.cpu = time.monotonic() - begun, time.process_time() - cpu
        cls.limit = self._pool.slots[0].window.limit


def measure(server: Server, asked: Asked, record: Path | None = None) -> Ran:
    """Label every text, with an empty label store; call it in a fresh process.

    ``record`` gets the requests, a line of JSON for each document. Raises RuntimeError when not
    every text got a label.
    """
    pin(server.core)
    # The parts of the worker that are replaced to measure them.
    for module, name, part in (
        (server_launcher, "Connection", Salted),
        (server_launcher, "CompletionsJudge", Recording),
        (server_launcher, "LocalJudge", RecordingLocal),
        (labelling_worker, "RequestLoop", Timed),
        (labelling_worker, "write_status", _ignore_status),
    ):
        setattr(module, name, part)
    Salted.salt = asked.salt
    documents = pq.read_metadata(asked.texts).num_rows
    with TemporaryDirectory() as folder:
        worker = labelling_worker.LabellingWorker(_job(server, asked, Path(folder)))
        try:
            asyncio.run(worker.run())
        except RequestError as failure:
            raise RuntimeError(f"{failure.code}: {failure.message}") from None
        attempts = worker.store.attempts("bench")
        done = sum(
            attempt.outcome == "labelled" and attempt.key is not None for attempt in attempts
        )
        if done != documents:
            raise RuntimeError(f"{done} of {documents} documents got a label")
        worker.store.close()
    if record is not None:
        record.write_bytes(b"\n".join(map(orjson.dumps, Recording.chains)))
    of_documents = [attempt for attempt in attempts if attempt.purpose != "probe"]
    return Ran(
        documents,
        Timed.seconds,
        Timed.cpu,
        sum(attempt.prompt_tokens for attempt in of_documents),
        sum(attempt.completion_tokens for attempt in of_documents),
        Timed.limit,
        sum(map(len, Recording.chains)),
    )


def _ignore_status(status: WorkerStatus) -> None:
    """Nobody listens."""


def _job(server: Server, asked: Asked, folder: Path) -> Job:
    return Job(
        id="bench",
        store=folder / "labels.sqlite",
        folder=Path.cwd(),
        log=folder / "worker.log",
        rubric=load_rubric(asked.rubric, Path.cwd()),
        server=_spec(server),
        keep="head",
        rationale_tokens=asked.rationale_tokens,
        least_mass=0.0,  # what a judge knows is not measured here
        most_errors=MOST_ERRORS,
        most_at_once=asked.most_at_once,
        budget=Budget(),
        passes=(Pass(texts=asked.texts, limit=asked.limit),),
    )


def _spec(server: Server) -> ServerSpec:
    if not server.url:
        return TransformersSpec(kind="transformers", model=server.tokenizer)
    return EndpointSpec(
        kind="endpoint", url=server.url, model=server.model, tokenizer=server.tokenizer
    )


def write_texts(texts: Sequence[str], path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), path)
