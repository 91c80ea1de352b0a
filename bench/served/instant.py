"""A server that answers at once without reading what it is asked: what is left is the client.

    python -m bench.served.instant

Speaks as much of vLLM's HTTP as labelling asks for, on a free port of 127.0.0.1 that it prints,
until its standard input ends.
"""

from __future__ import annotations

import asyncio
import re
import sys

import orjson

MODEL = "instant"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
LABELS = re.compile(rb'"logprob_token_ids":\[([\d,]+)\]')
TOKENS = re.compile(rb'"max_tokens":(\d+)')
LIKELIEST = -0.01  # the last label's log probability; the others have next to none
LEAST = -20.0


class Answering(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._held[:end])
            found = LENGTH.search(head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._held) < whole:
                return
            body = bytes(self._held[end + 4 : whole])
            del self._held[:whole]
            answer = completion(body) if body else models()
            assert self._transport is not None
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(answer), answer)
            )
            if CLOSE.search(head):
                self._transport.close()


def models() -> bytes:
    return orjson.dumps({"data": [{"id": MODEL}]})


def completion(body: bytes) -> bytes:
    """An answer to a request for completions, as vLLM gives it; tokens are counted by commas."""
    start, stop = body.find(b'"prompt":['), body.rfind(b"]", 0, body.find(b'"max_tokens"'))
    prompts = body.count(b"],[", start, stop) + 1
    tokens = body.count(b",", start, stop) + 1
    asked = TOKENS.search(body, stop)
    generated = int(asked[1]) if asked else 1
    choices: list[object] = []
    for index in range(prompts):
        choice: dict[str, object] = {
            "index": index,
            "text": " said" * generated,
            "finish_reason": "length",
        }
        if labels := LABELS.search(body, stop):
            ids = labels[1].decode().split(",")
            top = {f"token_id:{number}": LEAST for number in ids}
            top[f"token_id:{ids[-1]}"] = LIKELIEST
            choice["logprobs"] = {"top_logprobs": [top]}
        else:
            choice["token_ids"] = [1] * generated
        choices.append(choice)
    usage = {"prompt_tokens": tokens, "completion_tokens": generated * prompts}
    return orjson.dumps({"model": MODEL, "choices": choices, "usage": usage})


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
