"""datatrove's runner of inference, with the same requests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.served.sides import Ran, Server, pin

ABOUT = (
    "InferenceRunner with an endpoint, requests made beforehand, no checkpoints; it keeps the text "
    "of answers and no probabilities"
)
DEFAULT_AT_ONCE = 500
ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"  # it needs packages that labelling does not


def measured(server: Server, record: Path, old_salt: str, salt: str) -> Ran:
    """``measure`` in a process of the bench's environment. Raises RuntimeError when it fails."""
    arguments = orjson.dumps([list(server), str(record), old_salt, salt]).decode()
    command = [str(PYTHON), "-m", "bench.served.theirs", arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(lines[-1][:300])
    return Ran(*orjson.loads(ended.stdout.splitlines()[-1]))


def measure(server: Server, record: Path, old_salt: str, salt: str) -> Ran:
    """Send what was recorded, a document's requests one after the other, with its own settings
    for how much to send at once. Raises RuntimeError when not every document has an answer."""
    pin(server.core)
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    chains = [
        [{**payload, "cache_salt": salt} if old_salt else payload for payload in orjson.loads(line)]
        for line in record.read_bytes().splitlines()
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = InferenceConfig(
            server_type="endpoint",
            model_name_or_path=server.model,
            endpoint_url=server.url,
            use_chat=False,
            max_concurrent_generations=DEFAULT_AT_ONCE,
        )
        writer = JsonlWriter(folder, output_filename="${rank}.jsonl", compression=None)
        runner = InferenceRunner(_ask, config, writer, shared_context={"chains": chains})
        clock = _Clock()
        documents = (Document(text="", id=str(n), metadata={}) for n in range(len(chains)))
        runner.run(clock.started_by(documents))
        seconds, cpu = clock.read()
        written = Path(folder, "00000.jsonl").read_bytes().count(b"\n")
    if written != len(chains):
        raise RuntimeError(f"datatrove wrote {written} of {len(chains)} documents")
    return Ran(len(chains), seconds, cpu, limit=DEFAULT_AT_ONCE, requests=sum(map(len, chains)))


class _Clock:
    """Runs from when the first document is asked for: the server is known to be ready then."""

    def __init__(self) -> None:
        self._begun = self._cpu = 0.0

    def started_by(self, documents: Iterator[Any]) -> Iterator[Any]:
        self._begun, self._cpu = time.monotonic(), time.process_time()
        yield from documents

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._begun, time.process_time() - self._cpu


async def _ask(
    document: Any,
    generate: Callable[[dict[str, Any]], Awaitable[Any]],
    chains: Sequence[Sequence[Mapping[str, Any]]],
) -> Any:
    for payload in chains[int(document.id)]:
        answer = await generate(dict(payload))
    return answer


def missing(server: Server) -> str:
    """What it would need to be measured; empty when it can be."""
    if not server.url:
        return "it asks servers, and this model is in the process that asks"
    return "" if PYTHON.exists() else "make bench-env sets up what it needs"


if __name__ == "__main__":
    place, path, *salts = orjson.loads(sys.argv[1])
    ran = measure(Server(*place), Path(path), *salts)
    print(orjson.dumps(list(ran)).decode())
