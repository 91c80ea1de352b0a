"""The bench of labelling: what it sends, what it reports, and how it refuses wrong arguments."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from scripted_server import Reply, ScriptedServer
from tiny_model import make_tiny_model, make_tokenizer

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "bench" / "labelling.py"
sys.path.append(str(ROOT))  # for bench.served, which is in no installed package

from bench.served import instant, ours, raw, run  # noqa: E402
from bench.served.ours import Asked  # noqa: E402
from bench.served.sides import Ran, Server  # noqa: E402
from bench.versus.pinned import fresh  # noqa: E402

TEXTS = [
    f"Rain number {n} falls on the hills and runs to the sea. " * (n % 7 + 1) for n in range(12)
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(TEXTS).save_pretrained(folder)
    return folder


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "docs.jsonl"
    rows = [{"id": str(n), "text": text} for n, text in enumerate([*TEXTS, TEXTS[0]])]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_labelling", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(folder: Path, *, rationale_tokens: int = 0, salt: str = "") -> Asked:
    ours.write_texts(TEXTS, folder / "texts.parquet")
    return Asked(folder / "texts.parquet", "educational_value", 256, rationale_tokens, 16, salt)


@pytest.mark.parametrize("rationale_tokens", [0, 20])
def test_the_ceiling_sends_the_very_requests_of_ours(
    tmp_path: Path, tokenizer: Path, rationale_tokens: int
) -> None:
    with ScriptedServer() as judge:
        server = Server(judge.url, judge.model, str(tokenizer))
        record = tmp_path / "requests.jsonl"
        plan = asked(tmp_path, rationale_tokens=rationale_tokens, salt="salt-1")
        mine = fresh(ours.measure, server, plan, record)
        of_ours = [one.json for one in judge.requests]
        del judge.requests[:]
        top = fresh(raw.measure, server, record, "salt-1", "salt-2", 4)
        of_ceiling = [one.json for one in judge.requests]
    each = 2 if rationale_tokens else 1
    assert mine.documents == top.documents == len(TEXTS)
    assert mine.requests == top.requests == len(of_ceiling) == each * len(TEXTS)
    assert {one["cache_salt"] for one in of_ours} == {"salt-1"}
    assert {one["cache_salt"] for one in of_ceiling} == {"salt-2"}
    sent = {orjson.dumps(one | {"cache_salt": ""}) for one in of_ours}
    assert {orjson.dumps(one | {"cache_salt": ""}) for one in of_ceiling} <= sent
    assert len(sent) > len(of_ceiling), "ours looked at probes too"


def test_a_model_in_the_process_is_recorded_without_probes(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model", TEXTS)
    server = Server("", "model", str(tmp_path / "model"))
    record = tmp_path / "requests.jsonl"
    mine = fresh(ours.measure, server, asked(tmp_path), record)
    top = fresh(raw.measure, server, record, "", "", 1)
    assert mine.documents == top.documents == len(TEXTS)


def test_a_server_that_refuses_has_no_ceiling(tmp_path: Path, tokenizer: Path) -> None:
    record = tmp_path / "requests.jsonl"
    record.write_bytes(orjson.dumps([{"model": "judge", "prompt": [[1]], "max_tokens": 1}]))
    with ScriptedServer(script=lambda one: Reply(429, b"later")) as judge:
        server = Server(judge.url, judge.model, str(tokenizer))
        with pytest.raises(RuntimeError, match="429"):
            raw.measure(server, record, "", "", 1)


def test_the_instant_server_answers_each_prompt_with_every_label() -> None:
    body = {"model": "instant", "prompt": [[1, 2], [3, 4]], "max_tokens": 1}
    answer = orjson.loads(instant.completion(orjson.dumps(body | {"logprob_token_ids": [7, 9]})))
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    for choice in answer["choices"]:
        assert choice["logprobs"]["top_logprobs"][0].keys() == {"token_id:7", "token_id:9"}
    said = orjson.loads(instant.completion(orjson.dumps(body | {"prompt": [1], "max_tokens": 5})))
    assert len(said["choices"][0]["token_ids"]) == said["usage"]["completion_tokens"] == 5


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("bench") / "docs.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps({"id": t, "text": t}) for t in TEXTS))
    ran = script(
        *("--docs", path, "--instant", tokenizer, "--documents", 12, "--rationales", 4),
        *("--rounds", 1, "--no-datatrove", "--json"),
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_the_report_has_both_modes_with_their_shares(report: dict[str, Any]) -> None:
    for mode, documents, requests in (("expectation", 12, 12), ("rationale", 4, 8)):
        row = report[mode]
        assert (row["documents"], row["requests"]) == (documents, requests)
        for side in ("ours", "ceiling"):
            low, high = row[side]["spread"]
            assert 0 < low <= row[side]["documents_s"] <= high
            assert row[side]["client_cpu_ms"] > 0
        assert row["share"] == pytest.approx(
            row["ours"]["documents_s"] / row["ceiling"]["documents_s"]
        )
        assert row["datatrove"] == {"missing": "not asked for"}
    told = loaded().table(report)
    assert "| expectation | ours |" in told
    assert "not asked for" in told


def test_floor_counts_two_operations_for_each_parameter_and_fresh_token() -> None:
    mode = {
        "documents": 10,
        "prompt_tokens": 900,
        "completion_tokens": 100,
        "ours": {"documents_s": 5.0, "cached_tokens": 200},
    }
    found = run.floor(mode, 1_000_000, 0.01)
    assert found["tflop_s"] == pytest.approx(2 * 1e6 * 800 / 10 * 5 / 1e12)
    assert found["floor_share"] == pytest.approx(0.0008 / 0.01)
    assert run.floor(mode, 1_000_000, None)["floor_share"] is None


def test_speed_is_the_median_of_documents_by_seconds() -> None:
    assert run.speed([Ran(10, 1.0), Ran(10, 2.0), Ran(10, 5.0)]) == 5.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--instant", "TOKENIZER"], "--docs"),
        (["--docs", "DOCS"], "one of the arguments"),
        (["--docs", "DOCS", "--url", "http://127.0.0.1:1"], "--url needs --model and --tokenizer"),
        (["--docs", "missing.jsonl", "--instant", "TOKENIZER"], "missing.jsonl: no such file"),
        (["--docs", "DOCS", "--instant", "missing"], "missing: not a folder with tokenizer.json"),
        (["--docs", "DOCS", "--instant", "TOKENIZER", "--documents", "13"], "12 different ones"),
        (["--docs", "DOCS", "--instant", "TOKENIZER", "--rounds", "0"], "--rounds must be"),
        (["--docs", "DOCS", "--instant", "TOKENIZER", "--rubric", "none-such"], "none-such"),
        (
            [
                *("--docs", "DOCS", "--url", "http://127.0.0.1:1", "--model", "judge"),
                *("--tokenizer", "TOKENIZER", "--documents", "2", "--rationales", "0"),
            ],
            "no server answers at http://127.0.0.1:1",
        ),
    ],
)
def test_wrong_arguments_are_told_in_a_line(
    documents: Path, tokenizer: Path, arguments: list[str], said: str
) -> None:
    named = {"DOCS": str(documents), "TOKENIZER": str(tokenizer)}
    ran = script(*(named.get(argument, argument) for argument in arguments))
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr
    assert ran.stderr.strip().count("\n") == 0
    assert not ran.stdout
