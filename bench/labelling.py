"""How fast documents are labelled, against what the server could do, and against datatrove.

    python bench/labelling.py --docs FILE|FOLDER… SERVER [--documents N] [--rationales N]
        [--rounds N] [--rubric NAME|FILE] [--limit TOKENS] [--at-once N] [--no-datatrove]
        [--peak-tflops X] [--json]

SERVER is one of ``--url URL --model NAME --tokenizer FOLDER`` (one that runs), ``--vllm FOLDER``
(a vLLM that is started: $WINNOW_VLLM or .venv-vllm), ``--transformers FOLDER`` (the model in the
process that asks), ``--instant FOLDER`` (one that answers at once, to a client on one core: what
the client alone can do; the folder holds a tokenizer).

``ours`` is a whole job with an empty label store, from its first question to its last answer: the
documents are tokenised, answers are stored, the window of requests under way starts small.
``ceiling`` is the server's: the very requests that ours has sent, made beforehand, over bare
sockets that stay open, at the number of connections that brings most; answers are read and thrown
away. ``share`` is ours by the ceiling. ``datatrove`` is its InferenceRunner with these requests.
A document's requests follow each other; with rationales there are several.

All sides start with a cold prefix cache: each run's requests have a ``cache_salt`` of its own,
which vLLM mixes into the keys of its cache. Other servers ignore it; there all sides are warm
alike, for a first run is not counted. Runs alternate, every second round the other way round.
Speeds are medians, ``spread`` the slowest and the fastest run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
# Files in this folder have the names of packages.
sys.path[:] = [str(ROOT), *(path for path in sys.path if path != str(ROOT / "bench"))]

KINDS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
TOKENS = 100  # of a rationale


class Wrong(Exception):
    """What is wrong with the arguments, in a line."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--docs", nargs="+", type=Path, required=True)
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--url", help="of a server that runs, without /v1")
    server.add_argument("--vllm", type=Path, metavar="FOLDER")
    server.add_argument("--transformers", type=Path, metavar="FOLDER")
    server.add_argument("--instant", type=Path, metavar="FOLDER")
    parser.add_argument("--model", help="its name at --url")
    parser.add_argument("--tokenizer", type=Path, help="its folder, with --url")
    parser.add_argument("--vllm-arg", action="append", default=[], help="such as --dtype=float32")
    parser.add_argument("--documents", type=int, default=1_000, help="drawn at random")
    parser.add_argument("--rationales", type=int, default=200, help="documents; 0 for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rubric", default="educational_value")
    parser.add_argument("--limit", type=int, default=1_024, help="tokens of a document")
    parser.add_argument("--at-once", type=int, default=256, help="most requests of ours")
    parser.add_argument("--no-datatrove", action="store_true")
    parser.add_argument("--peak-tflops", type=float, help="of the device, for floor_share")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(given)
    if asked.url and not (asked.model and asked.tokenizer):
        raise Wrong("--url needs --model and --tokenizer")
    folder = asked.tokenizer or asked.vllm or asked.transformers or asked.instant
    if not (folder / "tokenizer.json").is_file():
        raise Wrong(f"{folder}: not a folder with tokenizer.json")
    for name in ("documents", "rounds", "limit", "at_once"):
        if getattr(asked, name) < 1:
            raise Wrong(f"--{name.replace('_', '-')} must be at least 1")
    return asked


def texts(paths: Sequence[Path], count: int) -> list[str]:
    """``count`` different texts of the files, in a random order that is always the same."""
    from bench.versus import shards

    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Wrong(f"{path}: no such file")
        if path.is_file() and not path.name.endswith(KINDS):
            raise Wrong(f"{path}: not one of {', '.join(KINDS)}")
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in below if file.name.endswith(KINDS)]
    distinct = list(dict.fromkeys(item.text for item in shards.items(found)))
    if len(distinct) < count:
        raise Wrong(f"--documents {count}: there are {len(distinct)} different ones")
    return random.Random(0).sample(distinct, count)


@contextmanager
def running(asked: argparse.Namespace, folder: Path) -> Iterator[Any]:
    """The server that is asked for, until the block ends."""
    from bench.served.sides import Server

    if asked.url:
        yield Server(asked.url.rstrip("/"), asked.model, str(asked.tokenizer.resolve()))
    elif asked.transformers:
        yield Server("", str(asked.transformers), str(asked.transformers.resolve()))
    elif asked.instant:
        with instant() as (url, model, core):
            yield Server(url, model, str(asked.instant.resolve()), core)
    else:
        with vllm(asked.vllm.resolve(), asked.vllm_arg, folder) as (url, model):
            yield Server(url, model, model)


@contextmanager
def instant() -> Iterator[tuple[str, str, int]]:
    """URL and model of a server on one core, and another core."""
    from bench.served.instant import MODEL

    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.served.instant"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        os.sched_setaffinity(process.pid, {cores[0]})
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}", MODEL, cores[-1]
    process.wait()


@contextmanager
def vllm(model: Path, args: Sequence[str], folder: Path) -> Iterator[tuple[str, str]]:
    from classifiers.judges.vllm_server import VllmServer

    here = ROOT / ".venv-vllm" / "bin" / "vllm"
    command = None if "WINNOW_VLLM" in os.environ or not here.exists() else here
    server = VllmServer(model, args=args, command=command, log=folder / "vllm.log")
    with asyncio.Runner() as loop:
        loop.run(server.start())
        try:
            yield server.url, server.name
        finally:
            loop.run(server.stop())


def report(asked: argparse.Namespace) -> dict[str, Any]:
    from bench.served import run
    from classifiers.judges.rubric import load_rubric

    load_rubric(asked.rubric, Path.cwd())  # raises what is wrong with it
    found = texts(asked.docs, max(asked.documents, asked.rationales))
    with tempfile.TemporaryDirectory() as name, running(asked, Path(name)) as server:
        plan = run.Plan(
            server, Path(name), _rubric(asked.rubric), asked.limit, asked.at_once, asked.rounds,
            not asked.no_datatrove, lambda line: print(line, file=sys.stderr),
        )  # fmt: skip
        modes = {"expectation": run.measure(plan, found[: asked.documents], 0)}
        if asked.rationales:
            modes["rationale"] = run.measure(plan, found[: asked.rationales], TOKENS)
    weights = asked.vllm or asked.transformers
    if weights is not None:
        for mode in modes.values():
            mode["floor"] = run.floor(mode, run.parameters(weights), asked.peak_tflops)
    return {"about": _about(asked), **modes}


def _rubric(named: str) -> str:
    path = Path(named)
    return str(path.resolve()) if path.is_file() else named


def _about(asked: argparse.Namespace) -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in info if line.startswith("model name")), "?")
    cores = len(os.sched_getaffinity(0))
    return f"{cpu}, {cores} cores; {asked.rubric}, documents of up to {asked.limit} tokens."


def table(found: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = [found["about"], ""]
    lines += ["| mode | side | documents/s | spread | at once | client ms | share |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, mode in found.items():
        if not isinstance(mode, dict):
            continue
        top = mode["ceiling"]["documents_s"]
        for side in ("ours", "ceiling", "datatrove"):
            row = mode[side]
            if "missing" in row:
                lines.append(f"| {name} | {side} | {row['missing']} | | | | |")
                continue
            speed, (low, high) = row["documents_s"], row["spread"]
            lines.append(
                f"| {name} | {side} | {speed:.1f} | {low:.1f}–{high:.1f} | {row['at_once']} "
                f"| {row['client_cpu_ms']:.2f} | {speed / top:.2f} |"
            )
        if "floor" in mode:
            floor = mode["floor"]
            share = "" if floor["floor_share"] is None else f", {floor['floor_share']:.1%} of peak"
            lines.append(
                f"\n{mode['tokens_s']:,.0f} tokens/s, {floor['parameters']:,} parameters, "
                f"{floor['tflop_s']:.4g} TFLOP/s{share}\n"
            )
    return "\n".join(lines)


def main() -> int:
    from pipeline.errors import WinnowError

    try:
        asked = arguments()
        found = report(asked)
    except (Wrong, WinnowError, RuntimeError, FileNotFoundError) as error:
        print(f"labelling.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if asked.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
