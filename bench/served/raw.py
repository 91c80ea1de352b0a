"""The server's ceiling: the same requests over bare sockets, answers read and thrown away."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from bench.served.sides import Ran, Server, pin

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def requests(record: Path, old_salt: str, salt: str, host: str) -> list[list[bytes]]:
    """The recorded requests of every document, whole and with another salt, ready to be sent."""
    chains = []
    for line in record.read_bytes().splitlines():
        chain = []
        for payload in orjson.loads(line):
            body = orjson.dumps(payload)
            if old_salt:
                body = body.replace(old_salt.encode(), salt.encode())
            chain.append(
                b"POST /v1/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (host.encode(), len(body), body)
            )
        chains.append(chain)
    return chains


def measure(
    server: Server, record: Path, old_salt: str, salt: str, at_once: int, first: int | None = None
) -> Ran:
    """Send what was recorded, or its ``first`` documents, over ``at_once`` connections; call it
    in a fresh process. Raises RuntimeError for an answer other than 200."""
    pin(server.core)
    if not server.url:
        return _in_process(server, record)
    address = urlsplit(server.url)
    chains = requests(record, old_salt, salt, address.netloc)[:first]
    sent = sum(map(len, chains))
    host, port = address.hostname or "", address.port or 80
    seconds, cpu = asyncio.run(_send_all(host, port, chains, at_once))
    return Ran(len(chains), seconds, cpu, limit=at_once, requests=sent)


async def _send_all(
    host: str, port: int, chains: Sequence[Sequence[bytes]], at_once: int
) -> tuple[float, float]:
    lines = [await asyncio.open_connection(host, port) for _ in range(min(at_once, len(chains)))]
    waiting = iter(chains)
    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(_send(reader, writer, waiting) for reader, writer in lines))
    taken = time.monotonic() - begun, time.process_time() - cpu
    for _, writer in lines:
        writer.close()
    return taken


async def _send(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    waiting: Iterator[Sequence[bytes]],
) -> None:
    """One connection: the requests of a document one after the other, then the next document's."""
    for chain in waiting:
        for request in chain:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            if b" 200 " not in head[:20] or length is None:
                raise RuntimeError(f"the server answered {(head + body)[:300]!r}")


def _in_process(server: Server, record: Path) -> Ran:
    """All prompts at once to the model itself."""
    from classifiers.judges.transformers_server import TransformersServer

    model = TransformersServer(server.tokenizer)
    rationales: list[list[int]] = []
    asked: list[list[int]] = []
    labels: list[int] = []
    longest = 0
    for line in record.read_bytes().splitlines():
        for payload in orjson.loads(line):
            if "max_tokens" in payload:
                rationales += payload["prompt"]
                longest = payload["max_tokens"]
            else:
                asked += payload["prompt"]
                labels = payload["logprob_token_ids"]
    model.logprobs(asked[:2], labels)  # what is loaded first is not measured
    begun, cpu = time.monotonic(), time.process_time()
    if rationales:
        model.generate(rationales, longest)
    model.logprobs(asked, labels)
    return Ran(len(asked), time.monotonic() - begun, time.process_time() - cpu)
