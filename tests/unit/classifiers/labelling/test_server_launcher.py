"""Judges are launched, reached and ended; one server for each GPU."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from labelling_jobs import judge_folder
from scripted_server import ScriptedServer

from classifiers.judges.chat_judge import ChatJudge
from classifiers.judges.completions_judge import CompletionsJudge
from classifiers.judges.judge import RequestError
from classifiers.judges.judge_config import EndpointSpec, TransformersSpec
from classifiers.judges.local_judge import LocalJudge
from classifiers.labelling import server_launcher
from classifiers.labelling.label_store import LabelStore
from classifiers.labelling.server_launcher import (
    JudgeLauncher,
    ServerUsage,
    _hold_gpu,
    _options,
    gpus,
    local_tokenizer,
    tokenizer_for,
)
from pipeline.errors import Refusal


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name alone on the PATH, which lists two GPUs when asked for UUIDs."""
    path = tmp_path / "nvidia-smi"
    path.write_text(
        '#!/bin/sh\n[ "$*" = "--query-gpu=uuid --format=csv,noheader" ] || exit 2\n'
        "echo GPU-5a\necho GPU-7b\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return path


def test_all_gpus_of_the_machine(nvidia_smi: Path) -> None:
    assert gpus() == ("GPU-5a", "GPU-7b")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("1", ("1",)),
        ("2,0", ("2", "0")),
        (" GPU-5a , GPU-7b", ("GPU-5a", "GPU-7b")),
        ("MIG-1", ("MIG-1",)),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
    ],
)
def test_those_that_are_visible(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch, named: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus() == expected


def test_none_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus() == ()


def test_none_when_the_driver_does_not_answer(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'could not communicate with the driver'\nexit 9\n")
    assert gpus() == ()


def test_the_environment_is_only_read(nvidia_smi: Path) -> None:
    before = dict(os.environ)
    gpus()
    assert dict(os.environ) == before


def endpoint(url: str = "http://h", **changes: Any) -> EndpointSpec:
    return EndpointSpec(**{"kind": "endpoint", "model": "judge", "url": url} | changes)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def judges(spec: Any, folder: Path, store: LabelStore) -> list[Any]:
    async def whole() -> list[Any]:
        tokenizer = tokenizer_for(spec, folder)
        async with JudgeLauncher(spec, folder, tokenizer, store, "job", folder / "log") as launcher:
            await asyncio.sleep(0.05)
            launcher.note()
            return list(launcher.judges)

    return asyncio.run(whole())


def test_endpoints_are_asked_in_token_ids_or_in_text(tmp_path: Path, store: LabelStore) -> None:
    judge_folder(tmp_path)
    with ScriptedServer() as server:
        (judge,) = judges(endpoint(server.url), tmp_path, store)
        (chat,) = judges(endpoint(server.url, api="chat"), tmp_path, store)
    assert isinstance(judge, CompletionsJudge)
    assert isinstance(chat, ChatJudge)
    assert judge.name == chat.name == server.url
    assert store.gpu_seconds("job") == 0.0


def test_model_in_this_process_is_counted_as_a_server(tiny_model: Path, store: LabelStore) -> None:
    spec = TransformersSpec(kind="transformers", model=tiny_model.name, device="cpu")
    (judge,) = judges(spec, tiny_model.parent, store)
    assert isinstance(judge, LocalJudge)
    assert store.gpu_seconds("job") >= 0.05
    assert len(list(store.rows("engines"))) == 1


def test_address_where_no_server_answers_is_an_error_after_some_tries(
    tmp_path: Path, store: LabelStore
) -> None:
    judge_folder(tmp_path)
    with ScriptedServer() as server:
        pass
    start = time.monotonic()
    with pytest.raises(RequestError, match="no server answers at") as caught:
        judges(endpoint(server.url), tmp_path, store)
    assert (caught.value.kind, caught.value.hint) == (
        "fatal",
        "start the server, or mend server.url",
    )
    assert time.monotonic() - start > 1


def test_key_must_be_in_the_environment_and_loses_its_line_feed(
    tmp_path: Path, store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_folder(tmp_path)
    monkeypatch.setenv("A_KEY", " \n")
    with ScriptedServer() as server:
        spec = endpoint(server.url, key_env="A_KEY")
        with pytest.raises(Refusal, match="no A_KEY"):
            judges(spec, tmp_path, store)
        monkeypatch.setenv("A_KEY", "secret\n")
        (judge,) = judges(spec, tmp_path, store)
    assert judge.connection._key == "secret"


def test_tokenizer_is_the_models_unless_another_is_named(tmp_path: Path) -> None:
    path = judge_folder(tmp_path)
    path.rename(tmp_path / "other")
    spec = endpoint(tokenizer="other")
    tokenizer = tokenizer_for(spec, tmp_path)
    assert tokenizer is not None
    assert local_tokenizer(spec, tmp_path) == tokenizer.digest
    assert tokenizer_for(endpoint(api="chat"), tmp_path) is None
    assert local_tokenizer(endpoint(api="chat"), tmp_path) == ""
    assert local_tokenizer(endpoint(revision="abc"), tmp_path) == "", "it is not here"
    (tmp_path / "judge").mkdir()
    with pytest.raises(Refusal, match="no tokenizer"):
        tokenizer_for(endpoint(), tmp_path)


def test_time_of_a_server_that_was_started_again_counts_twice(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(server_launcher.time, "monotonic", lambda: now[0])
    engine = ServerUsage(store, "job", "vllm", 2)
    assert engine.gpu_seconds == 0
    engine.began()
    now[0] += 10
    assert engine.gpu_seconds == 20
    engine.note()
    assert store.gpu_seconds("job") == 20, "a labelling worker may be killed at any time"
    engine.ended(None)
    engine.ended(None)
    now[0] += 50
    engine.began()
    now[0] += 5
    assert engine.gpu_seconds == 30
    engine.ended(None)
    assert store.gpu_seconds("job") == 30
    assert len(list(store.rows("engines"))) == 2


def test_options_are_a_command_line() -> None:
    args = {"enforce-eager": True, "disable-log": False, "max-model-len": 2048, "dtype": "half"}
    expected = ["--enforce-eager", "--max-model-len", "2048", "--dtype", "half"]
    assert _options(args) == expected


def test_a_gpu_is_held_by_one_and_waiting_for_it_can_be_ended(tmp_path: Path) -> None:
    async def whole() -> None:
        held = await _hold_gpu(tmp_path, "GPU-1/x")
        waiting = asyncio.create_task(_hold_gpu(tmp_path, "GPU-1/x"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        (await _hold_gpu(tmp_path, "GPU-2")).close()
        ended = asyncio.create_task(_hold_gpu(tmp_path, "GPU-1/x"))
        await asyncio.sleep(0)
        ended.cancel()
        assert isinstance((await asyncio.gather(ended, return_exceptions=True))[0], BaseException)
        held.close()
        (await asyncio.wait_for(waiting, 10)).close()

    start = time.monotonic()
    asyncio.run(whole())
    assert time.monotonic() - start < 10
