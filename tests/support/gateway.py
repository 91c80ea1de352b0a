"""An HTTP gateway before a real server: passes everything on, and keeps a log of what passed."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web


@dataclass(frozen=True)
class Passed:
    """A request and the status that the server answered it with."""

    path: str
    json: Any
    status: int


class Gateway:
    """A context manager; ``url`` is its address and ``log`` what passed, answered or not."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.log: list[Passed] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Gateway:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def answered(self, path: str = "/v1/completions") -> list[Any]:
        """Bodies of the requests that the server has answered well."""
        return [passed.json for passed in self.log if passed.path == path and passed.status == 200]

    async def _start(self) -> str:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        kind = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self._session.request(
            request.method, self.target + request.path, data=body, headers=kind
        ) as reply:
            answer = await reply.read()
            sent = json.loads(body) if body else None
            self.log.append(Passed(request.path, sent, reply.status))
            return web.Response(status=reply.status, body=answer, content_type=reply.content_type)
