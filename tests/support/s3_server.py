"""An object store with the protocol of S3 over HTTP, and a proxy before it that has faults."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

KEY, SECRET = "key-of-the-tests", "sk-canary-6b0f7f3ad1c14f7e"
# The libraries' own tries are taken out where a test is about what comes after them.
NO_RETRIES = {"retries": {"max_attempts": 0}, "connect_timeout": 2, "read_timeout": 2}


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of its own for a test; ``options`` are what a source needs to reach it."""

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def options(self) -> dict[str, Any]:
        return options(self.host, self.port)

    def put(self, objects: Mapping[str, bytes]) -> None:
        for key, content in objects.items():
            request(self.host, self.port, "PUT", f"/{self.name}/{key}", content)


def options(host: str, port: int) -> dict[str, Any]:
    endpoint = f"http://{host}:{port}"
    return {"endpoint_url": endpoint, "key": KEY, "secret": SECRET, "config_kwargs": NO_RETRIES}


def request(host: str, port: int, method: str, path: str, body: bytes = b"") -> None:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request(method, path, body, {"x-amz-acl": "public-read"})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status < 300, response.status


@lru_cache(maxsize=1)
def _server() -> tuple[str, int]:
    """One for the whole process: it is a thread, and ends with it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    found: tuple[str, int] = server.get_host_and_port()
    return found


_made = iter(range(10**6))


def new_bucket() -> Bucket:
    host, port = _server()
    bucket = Bucket(f"bucket-{next(_made)}", host, port)
    request(host, port, "PUT", f"/{bucket.name}")
    return bucket


@pytest.fixture
def bucket() -> Bucket:
    return new_bucket()


@dataclass(frozen=True)
class Asked:
    """What a client asks for; ``number`` counts the requests of the same method."""

    method: str
    path: str
    number: int


@dataclass(frozen=True)
class Fault:
    """``status`` alone is an answer without a body; ``keep`` bytes of the body are passed on, with
    ``whole`` as if they were all of it."""

    status: int = 0
    keep: int = 0
    whole: bool = False


@dataclass
class Proxy:
    """Passes requests on, but for those that ``script`` has a fault for."""

    host: str
    port: int
    script: Callable[[Asked], Fault | None] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)

    @property
    def options(self) -> dict[str, Any]:
        return options(self.host, self.port)


@contextmanager
def proxy(bucket: Bucket, script: Callable[[Asked], Fault | None]) -> Iterator[Proxy]:
    made = Proxy("127.0.0.1", 0, script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = sum(asked.method == self.command for asked in made.asked)
            asked = Asked(self.command, self.path, number)
            made.asked.append(asked)
            fault = made.script(asked)
            if fault is not None and fault.status:
                self.send_response(fault.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = http.client.HTTPConnection(bucket.host, bucket.port, timeout=30)
            upstream.request(self.command, self.path, headers=dict(self.headers))
            response = upstream.getresponse()
            body = response.read()
            sent = body if fault is None else body[: fault.keep]
            length = len(sent) if fault is not None and fault.whole else None
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() == "content-length":
                    value = value if length is None else str(length)
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)
            if fault is not None and not fault.whole:
                self.close_connection = True

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
