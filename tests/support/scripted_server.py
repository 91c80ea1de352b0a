"""An HTTP server on loopback that answers as a judge would, or as a test tells it to.

It keeps a log of all requests and counts tokens as a real server does. The honest answer to a
prompt depends on its ids alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Script = Callable[["Asked"], "Reply | None"]


@dataclass(frozen=True)
class Asked:
    """A request: its number (from 0), path, headers and JSON."""

    number: int
    path: str
    headers: Mapping[str, str]
    json: Mapping[str, Any]

    @property
    def prompts(self) -> list[list[int]]:
        prompt = self.json.get("prompt", [])
        return prompt if prompt and isinstance(prompt[0], list) else [prompt]


@dataclass(frozen=True)
class Reply:
    """What to answer instead of the honest thing. ``hang`` seconds first; ``cut`` breaks the
    connection."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0
    cut: bool = False


class ScriptedServer:
    """``script`` looks at each completion request and returns a Reply, or None for the honest
    answer. A context manager; ``requests`` is the log, ``tokens`` what was worked on.

    With ``natural`` token ids it is an older server: it does not know ``logprob_token_ids``, names
    its ``logprobs`` likeliest tokens alone, and gives the natural ones most of the probability.
    ``at_once`` above 0 is how many requests it takes at a time; it answers 429 to more.
    """

    def __init__(
        self, model: str = "judge", script: Script = lambda asked: None, salt: str = "",
        delay: float = 0.0, natural: Sequence[int] = (), at_once: int = 0,
    ) -> None:  # fmt: skip
        self.model, self.script, self.salt, self.delay = model, script, salt, delay
        self.natural, self.limit = natural, at_once
        self.refused = 0  # requests beyond ``at_once``
        self.answers = "012"  # what it says in a chat
        self.requests: list[Asked] = []
        self.answered: list[Asked] = []  # those that got an honest answer
        self.tokens = {"prompt": 0, "generation": 0}
        self.most_at_once = self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    async def _start(self) -> str:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self.model}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(len(self.requests), request.path, dict(request.headers), await request.json())
        self.requests.append(asked)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = self.script(asked)
            if reply is not None:
                await asyncio.sleep(reply.hang)
                if reply.cut:
                    assert request.transport is not None
                    request.transport.abort()
                return web.Response(
                    status=reply.status, body=reply.body, headers=dict(reply.headers)
                )
            if self.limit and self._at_once > self.limit:
                self.refused += 1
                return web.Response(status=429, body=b'{"error": {"message": "slow down"}}')
            if self.delay:
                await asyncio.sleep(self.delay)
            self.answered.append(asked)
            return web.json_response(self.honest(asked))
        finally:
            self._at_once -= 1

    def honest(self, asked: Asked, mass: float = 0.95) -> dict[str, Any]:
        """The answer of a server that knows ``logprob_token_ids``, as vLLM 0.32 gives it; the
        labels have ``mass`` together."""
        if asked.path.endswith("/chat/completions"):
            return self._chat(asked)
        ids = asked.json.get("logprob_token_ids", [])
        choices = []
        for index, prompt in enumerate(asked.prompts):
            if self.natural:
                logprobs = self._likeliest(json.dumps(prompt), asked.json["logprobs"])
            else:
                logprobs = self._logprobs(json.dumps(prompt), ids, mass)
            top = {f"token_id:{number}": value for number, value in logprobs.items()}
            choices.append(
                {"index": index, "text": "0", "token_ids": list(prompt[-3:]),
                 "logprobs": {"top_logprobs": [top]}}
            )  # fmt: skip
        prompt_tokens = sum(map(len, asked.prompts))
        generated = len(choices) * (1 if ids else 3)
        return self._whole(choices, prompt_tokens, generated)

    def _chat(self, asked: Asked) -> dict[str, Any]:
        text = json.dumps(asked.json["messages"])
        if not asked.json.get("logprobs"):
            message = {"role": "assistant", "content": "It explains a little."}
            return self._whole([{"index": 0, "message": message}], len(text) // 4, 5)
        answers = list(self.answers)
        top = [
            {"token": answer, "logprob": value}
            for answer, value in self._logprobs(text, answers).items()
        ]
        logprobs = {"content": [{"token": "0", "logprob": -1.0, "top_logprobs": top}]}
        choice = {"index": 0, "message": {"content": "0"}, "logprobs": logprobs}
        return self._whole([choice], len(text) // 4, 1)

    def _whole(self, choices: list[Any], prompt: int, generated: int) -> dict[str, Any]:
        self.tokens["prompt"] += prompt
        self.tokens["generation"] += generated
        usage = {"prompt_tokens": prompt, "completion_tokens": generated,
                 "total_tokens": prompt + generated}  # fmt: skip
        return {"model": self.model, "choices": choices, "usage": usage}

    def _likeliest(self, prompt: str, count: int) -> dict[Any, float]:
        others = [number for number in range(1, 100) if number not in self.natural]
        all_of_them = {
            **self._logprobs(prompt, list(self.natural)),
            **self._logprobs(prompt, others, 0.05),
        }
        return dict(sorted(all_of_them.items(), key=lambda item: -item[1])[:count])

    def _logprobs(self, prompt: str, labels: list[Any], mass: float = 0.95) -> dict[Any, float]:
        """Log probabilities whose sum is ``mass``, drawn from a digest of prompt and salt."""
        weights = {
            label: int.from_bytes(
                hashlib.sha256(f"{self.salt}{prompt}{label}".encode()).digest()[:4], "big"
            )
            + 1
            for label in labels
        }
        total = sum(weights.values()) / mass
        return {label: math.log(weight / total) for label, weight in weights.items()}
