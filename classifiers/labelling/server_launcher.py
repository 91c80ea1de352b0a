"""Launches the judges of a server that the manifest describes: started here, or at an address."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import IO

import aiohttp

from classifiers.judges.chat_judge import ChatJudge
from classifiers.judges.completions_judge import CompletionsJudge
from classifiers.judges.http_client import Connection
from classifiers.judges.judge import Judge, RequestError
from classifiers.judges.judge_config import EndpointSpec, TransformersSpec, VllmSpec
from classifiers.judges.judge_identity import Spec
from classifiers.judges.judge_tokenizer import JudgeTokenizer
from classifiers.judges.local_judge import LocalJudge
from classifiers.judges.prompts import PromptMakers
from classifiers.judges.vllm_server import Counters, VllmServer
from classifiers.labelling.label_store import LabelStore
from winnow import Refusal, WinnowError


def gpus() -> tuple[str, ...]:
    """What ``CUDA_VISIBLE_DEVICES`` of one server each may be set to; empty without a GPU.

    The GPUs named by ``CUDA_VISIBLE_DEVICES`` where it is set, else all that ``nvidia-smi`` lists,
    by UUID: numbers mean other GPUs to CUDA, which counts the fastest first, than to nvidia-smi.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        # CUDA reads the list up to the first entry that it does not know; -1 stands for none.
        devices = [device.strip() for device in named.split(",")]
        end = next((n for n, device in enumerate(devices) if device in ("", "-1")), len(devices))
        return tuple(devices[:end])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    asked = [tool, "--query-gpu=uuid", "--format=csv,noheader"]
    # A machine whose driver does not answer has no GPU to use; servers then report what is missing.
    listed = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return tuple(listed.stdout.split()) if listed.returncode == 0 else ()


REQUEST_S = 600.0  # a rationale of a long document on a busy server takes minutes
CONNECT_S = 30.0
REACH_TRIES = 5
HELD_S = 0.5  # between two looks at whether a GPU is free


def tokenizer_for(spec: Spec, folder: Path) -> JudgeTokenizer | None:
    """The tokenizer that prompts are made with; None for a judge that takes text."""
    if isinstance(spec, EndpointSpec):
        if spec.api == "chat":
            return None
        named = spec.tokenizer or spec.model
        path = folder / named
        return JudgeTokenizer(path) if path.is_dir() else JudgeTokenizer(named, spec.revision)
    found = spec.model_folder(folder)
    return JudgeTokenizer(found) if found is not None else JudgeTokenizer(spec.model, spec.revision)


def local_tokenizer(spec: Spec, folder: Path) -> str:
    """Digest of a tokenizer that lies here and that the model's revision does not cover."""
    if not isinstance(spec, EndpointSpec) or spec.api == "chat":
        return ""
    if not (folder / (spec.tokenizer or spec.model)).is_dir():
        return ""
    tokenizer = tokenizer_for(spec, folder)
    return tokenizer.digest if tokenizer is not None else ""


class ServerUsage:
    """The time that one server of ours has run, and what it has counted, for the ledger."""

    def __init__(self, store: LabelStore, job: str, kind: str, gpu_count: int) -> None:
        self._store, self._job, self._kind, self._gpus = store, job, kind, gpu_count
        self._id, self._begun, self._before = "", 0.0, 0.0

    def began(self) -> None:
        self._id, self._begun = uuid.uuid4().hex, time.monotonic()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun if self._id else 0.0

    @property
    def gpu_seconds(self) -> float:
        """For as long as it has run, times its GPUs (1 where there are none)."""
        return (self._before + self._seconds) * max(self._gpus, 1)

    def note(self, counters: Counters | None = None) -> None:
        """Write down how long it has run so far, so that a killed worker loses nothing of it."""
        if self._id:
            counted = (counters.prompt, counters.cached, counters.generated) if counters else None
            self._store.engine_ended(
                self._job, self._id, self._kind, self._gpus, self._seconds, counted
            )

    def ended(self, counters: Counters | None) -> None:
        self.note(counters)
        self._before += self._seconds
        self._id = ""


class VllmJudge(CompletionsJudge):
    """A vLLM of our own, that can be started again."""

    def __init__(self, server: VllmServer, connection: Connection, makers: PromptMakers,
                 engine: ServerUsage) -> None:  # fmt: skip
        super().__init__(connection, server.name, makers)
        self.server, self.engine = server, engine
        self.name = f"vllm on GPU {server.gpu}" if server.gpu else "vllm"
        self._at_start = Counters()

    async def start(self) -> None:
        """Raises RequestError of kind ``fatal``."""
        self.engine.began()
        try:
            await self.server.restart()
            self._at_start = await self.server.counters()
        except WinnowError as error:
            self.engine.ended(None)
            raise RequestError("fatal", error.code, error.message, hint=error.hint) from error
        self.connection.url = self.server.url

    async def is_alive(self, failure: RequestError) -> bool:
        return failure.kind != "dead" and self.server.is_alive()

    async def restart(self) -> None:
        self.engine.ended(None)  # its counters ended with it
        await self.start()

    async def stop(self) -> None:
        try:
            now = await self.server.counters()
            start = self._at_start
            counted = Counters(
                now.prompt - start.prompt,
                now.cached - start.cached,
                now.generated - start.generated,
            )
        except (aiohttp.ClientError, TimeoutError):
            counted = None
        self.engine.ended(counted)
        await self.server.stop()


class JudgeLauncher:
    """Judges ready to be asked; a context manager that ends what it has begun."""

    def __init__(
        self,
        spec: Spec,
        folder: Path,
        tokenizer: JudgeTokenizer | None,
        store: LabelStore,
        job: str,
        log: Path,
    ) -> None:
        self._spec, self._folder, self._tokenizer = spec, folder, tokenizer
        self._store, self._job, self._log = store, job, log
        self._stack = AsyncExitStack()
        self.judges: list[Judge] = []
        self.engines: list[ServerUsage] = []

    async def __aenter__(self) -> JudgeLauncher:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        await self._stack.enter_async_context(session)
        try:
            if isinstance(self._spec, VllmSpec):
                await self._vllm(self._spec, session)
            elif isinstance(self._spec, EndpointSpec):
                await self._endpoint(self._spec, session)
            else:
                await self._transformers(self._spec)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def gpu_seconds(self) -> float:
        """Server time × GPUs since the worker began."""
        return sum(engine.gpu_seconds for engine in self.engines)

    def note(self) -> None:
        for engine in self.engines:
            engine.note()

    def _makers(self) -> PromptMakers:
        assert self._tokenizer is not None
        return PromptMakers(self._tokenizer, self._spec.template_args)

    async def _vllm(self, spec: VllmSpec, session: aiohttp.ClientSession) -> None:
        path = spec.model_folder(self._folder)
        makers = self._makers()
        starting = []
        for gpu in gpus() or (None,):
            if gpu is not None:
                held = await _hold_gpu(self._store.path.parent, gpu)
                self._stack.callback(held.close)
            server = VllmServer(
                path or spec.model,
                spec.revision if path is None else None,
                _options(spec.args),
                spec.command or None,
                log=self._log.with_name(f"{self._log.stem}-{gpu or 0}{self._log.suffix}"),
                gpu=gpu,
            )
            engine = ServerUsage(self._store, self._job, "vllm", int(gpu is not None))
            judge = VllmJudge(server, Connection(session, ""), makers, engine)
            self._stack.push_async_callback(judge.stop)
            self.judges.append(judge)
            self.engines.append(engine)
            starting.append(asyncio.create_task(judge.start()))
        try:
            await asyncio.gather(*starting)
        except BaseException:  # of one: the others would go on starting while they are stopped
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            raise

    async def _endpoint(self, spec: EndpointSpec, session: aiohttp.ClientSession) -> None:
        key = os.environ.get(spec.key_env, "").strip() if spec.key_env else ""
        if spec.key_env and not key:
            hint = f"export {spec.key_env}=…"
            raise Refusal("no-key", f"the environment has no {spec.key_env}", hint)
        connection = Connection(session, spec.url, key)
        await _reach(connection)
        if spec.api == "chat":
            self.judges = [ChatJudge(connection, spec.model)]
        else:
            self.judges = [CompletionsJudge(connection, spec.model, self._makers())]

    async def _transformers(self, spec: TransformersSpec) -> None:
        from classifiers.judges.transformers_server import TransformersServer

        path = spec.model_folder(self._folder)
        engine = ServerUsage(self._store, self._job, "transformers", len(gpus()[:1]))
        engine.began()
        model = await asyncio.to_thread(
            TransformersServer, path or spec.model, spec.revision or None, device=spec.device
        )
        self._stack.callback(engine.ended, None)
        self.engines = [engine]
        self.judges = [LocalJudge(model, self._makers())]


async def _reach(connection: Connection) -> None:
    """Wait a little for a server that does not answer. Raises RequestError when it never does."""
    for turn in range(REACH_TRIES):
        try:
            await connection.get("/v1/models")
            return
        except RequestError as failure:
            if failure.code == "unreachable" and turn == REACH_TRIES - 1:
                hint = "start the server, or mend server.url"
                message = f"no server answers at {connection.url}: {failure.message}"
                raise RequestError("fatal", "unreachable", message, hint=hint) from None
            if failure.kind == "fatal" and failure.code == "not-authorised":
                raise
            if failure.code != "unreachable":  # it is there; not every server lists its models
                return
            await asyncio.sleep(0.2 * 2**turn)


def _options(args: Mapping[str, bool | int | float | str]) -> Sequence[str]:
    """As a command line; ``true`` is an option without a value, ``false`` leaves it out."""
    options = []
    for name, value in args.items():
        if value is True:
            options.append(f"--{name}")
        elif value is not False:
            options += [f"--{name}", str(value)]
    return options


async def _hold_gpu(folder: Path, gpu: str) -> IO[bytes]:
    """Wait until no other worker of this user runs a server on the GPU; close to let go."""
    name = "".join(letter if letter.isalnum() else "-" for letter in gpu)
    file = (folder / f"gpu-{name}.lock").open("wb")
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            await asyncio.sleep(HELD_S)  # a thread that waits could not be cancelled
    except BaseException:
        file.close()
        raise
