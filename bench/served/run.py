"""One run: ours, the ceiling and datatrove in turn, several times, and one report."""

from __future__ import annotations

import json
import secrets
import struct
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.served import ours, raw, theirs
from bench.served.ours import Asked
from bench.served.sides import Ran, Server
from bench.versus.pinned import fresh
from classifiers.judges.vllm_server import Counters, read_counters

AT_ONCE = (16, 64, 256)  # connections that the ceiling is sought with
SEEKING = 300  # documents that it is sought with


class Plan(NamedTuple):
    """What to measure; ``report`` gets lines of progress."""

    server: Server
    folder: Path
    rubric: str
    limit: int
    most_at_once: int
    rounds: int
    datatrove: bool
    report: Callable[[str], None]


class Runs:
    """Measures in fresh processes; every run gets a salt of its own."""

    def __init__(self, plan: Plan, texts: Sequence[str], rationale_tokens: int) -> None:
        self._plan, self._rationale_tokens = plan, rationale_tokens
        self._texts = plan.folder / "texts.parquet"
        self._record = plan.folder / "requests.jsonl"
        ours.write_texts(texts, self._texts)
        self._session = secrets.token_hex(8)  # a server remembers what an earlier bench has sent
        self._salt = ""
        self._runs = 0
        self.found: dict[str, list[Ran]] = {"ours": [], "ceiling": [], "datatrove": []}
        self.cached: dict[str, list[int]] = {"ours": [], "ceiling": [], "datatrove": []}

    def _next_salt(self) -> str:
        self._runs += 1
        return f"{self._session}-{self._runs:06d}"

    def _counted(self, name: str, run: Callable[[], Ran]) -> Ran:
        before = counters(self._plan.server)
        ran = run()
        after = counters(self._plan.server)
        if before is not None and after is not None:
            self.cached[name].append(after.cached - before.cached)
        self._plan.report(f"{name}: {ran.documents / ran.seconds:.1f} documents/s")
        self.found[name].append(ran)
        return ran

    def ours(self) -> None:
        plan, self._salt = self._plan, self._next_salt()
        asked = Asked(
            self._texts, plan.rubric, plan.limit, self._rationale_tokens, plan.most_at_once,
            self._salt,
        )  # fmt: skip
        self._counted("ours", lambda: fresh(ours.measure, plan.server, asked, self._record))

    def ceiling(self, at_once: int) -> None:
        salt = self._next_salt()
        arguments = (self._plan.server, self._record, self._salt, salt, at_once)
        self._counted("ceiling", lambda: fresh(raw.measure, *arguments))

    def theirs(self) -> str:
        """Why it could not be measured, if so."""
        salt = self._next_salt()
        arguments = (self._plan.server, self._record, self._salt, salt)
        try:
            self._counted("datatrove", lambda: theirs.measured(*arguments))
        except RuntimeError as error:
            return f"it failed: {error}"
        return ""

    def best_at_once(self) -> int:
        """Connections that bring most, on the first documents."""
        plan = self._plan
        if not plan.server.url:
            return 1
        speeds = {}
        for at_once in AT_ONCE:
            arguments = (plan.server, self._record, self._salt, self._next_salt(), at_once, SEEKING)
            ran = fresh(raw.measure, *arguments)
            speeds[at_once] = ran.documents / ran.seconds
            plan.report(f"{at_once} connections: {speeds[at_once]:.1f} documents/s")
        return max(speeds, key=lambda at_once: speeds[at_once])

    def forget(self) -> None:
        """What was measured to warm up."""
        for name in self.found:
            self.found[name].clear()
            self.cached[name].clear()


def measure(plan: Plan, texts: Sequence[str], rationale_tokens: int) -> dict[str, Any]:
    """The report on one way to ask about ``texts``."""
    runs = Runs(plan, texts, rationale_tokens)
    missing = theirs.missing(plan.server) if plan.datatrove else "not asked for"
    runs.ours()  # the server and the page cache warm up; not counted
    at_once = runs.best_at_once()
    runs.forget()
    for turn in range(plan.rounds):
        if turn % 2 == 0:
            runs.ours()
        runs.ceiling(at_once)
        if turn % 2 == 1:
            runs.ours()
        if not missing:
            missing = runs.theirs()
    return _report(runs, missing)


def _report(runs: Runs, missing: str) -> dict[str, Any]:
    mine, top = runs.found["ours"], runs.found["ceiling"]
    report: dict[str, Any] = {
        "documents": mine[0].documents,
        "requests": mine[0].requests,
        "prompt_tokens": mine[0].prompt_tokens,
        "completion_tokens": mine[0].completion_tokens,
        "ours": _side(runs, "ours"),
        "ceiling": _side(runs, "ceiling"),
        "share": speed(mine) / speed(top),
        "share_by_round": [
            a.documents / a.seconds / (b.documents / b.seconds)
            for a, b in zip(mine, top, strict=True)
        ],
        "tokens_s": median(
            (run.prompt_tokens + run.completion_tokens) / run.seconds for run in mine
        ),
    }
    if missing:
        report["datatrove"] = {"missing": missing}
    else:
        report["datatrove"] = {"about": theirs.ABOUT, **_side(runs, "datatrove")}
        report["over_datatrove"] = speed(mine) / speed(runs.found["datatrove"])
    return report


def speed(runs: Sequence[Ran]) -> float:
    """Median documents per second."""
    return median(run.documents / run.seconds for run in runs)


def _side(runs: Runs, name: str) -> dict[str, Any]:
    found = runs.found[name]
    speeds = sorted(run.documents / run.seconds for run in found)
    return {
        "documents_s": speed(found),
        "spread": [speeds[0], speeds[-1]],
        "client_cpu_ms": 1e3 * median(run.cpu / run.documents for run in found),
        "at_once": found[-1].limit,
        "cached_tokens": median(runs.cached[name]) if runs.cached[name] else None,
    }


def counters(server: Server) -> Counters | None:
    """The server's own counters of tokens; None where it has none."""
    if not server.url:
        return None
    try:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as response:
            text = response.read().decode()
    except (urllib.error.URLError, TimeoutError):
        return None
    return read_counters(text) if "vllm:prompt_tokens_total" in text else None


def parameters(model: Path) -> int:
    """Numbers in a model's safetensors files; 0 where there are none."""
    total = 0
    for path in model.glob("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(length))
        for name, tensor in head.items():
            if name != "__metadata__":
                size = 1
                for extent in tensor["shape"]:
                    size *= extent
                total += size
    return total


def floor(
    mode: dict[str, Any], count: int, peak_tflops: float | None
) -> dict[str, float | int | None]:
    """Arithmetic that the tokens took at least, two operations for each parameter and token that
    was not in the cache, and its share of the device's peak."""
    cached = mode["ours"]["cached_tokens"] or 0
    tokens = mode["prompt_tokens"] + mode["completion_tokens"] - cached
    tflops = 2 * count * tokens * mode["ours"]["documents_s"] / mode["documents"] / 1e12
    share = None if peak_tflops is None else tflops / peak_tflops
    return {"parameters": count, "tflop_s": tflops, "floor_share": share}
