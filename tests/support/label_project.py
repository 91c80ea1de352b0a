"""A manifest with a label step, on made-up documents, whose judge is a scripted server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from labelling_jobs import judge_folder
from scripted_server import ScriptedServer
from small_runs import corpus_rows, date, files_of, winnow

RUBRIC = """\
name: clarity
version: 1
instruction: You grade short texts.
attributes:
  clarity:
    question: How clear is it?
    scale: {"0": not, "1": a little, "2": very}
  kind:
    question: What is it?
    choices: {prose: sentences, list: enumerations, other: anything else}
"""
STEP: dict[str, Any] = {
    "rubric": "rubric.yaml",
    "sample": {"documents": 60},
    "max_tokens": 64,
    "min_mass": 0.01,  # the scripted server shares it out among the answers of both attributes
}
SOURCES = ("news", "wiki")
DOCUMENTS = 120


def text_of(source: str, number: int) -> str:
    return f"{source} text number {number}. " + "It says a little more. " * (number % 7)


class LabelProject:
    """``winnow`` in ``folder``, with a label store of its own."""

    def __init__(self, folder: Path, server: ScriptedServer | None = None, **step: Any) -> None:
        self.folder, self.store = folder, folder / "labels.sqlite"
        self.before: list[Any] = []  # other steps
        self.after: list[Any] = []
        folder.mkdir(parents=True, exist_ok=True)
        for source in SOURCES:
            rows = [
                {"id": f"{source}{n}", "text": text_of(source, n), "language": ["en", None][n % 2]}
                for n in range(DOCUMENTS)
            ]
            (folder / f"{source}.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
        date(folder)
        (folder / "rubric.yaml").write_text(RUBRIC)
        judge_folder(folder)
        url = server.url if server is not None else "http://127.0.0.1:9"
        self.step = {"server": {"kind": "endpoint", "url": url, "model": "judge"}, **STEP, **step}
        self.write()

    @property
    def manifest(self) -> Path:
        return self.folder / "m.yaml"

    def write(self, **changes: Any) -> None:
        """Write the manifest, with parameters of the label step changed for good."""
        self.step |= changes
        whole = {
            "name": "labels",
            "seed": 3,
            "output": "out",
            "executor": {"workers": 1},
            "sources": {s: {"format": "jsonl", "paths": f"{s}.jsonl"} for s in SOURCES},
            "steps": [*self.before, {"label": self.step}, *self.after],
        }
        self.manifest.write_text(json.dumps(whole, indent=2))

    def winnow(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {"WINNOW_LABELS": str(self.store)}
        return winnow(*arguments, cwd=self.folder, environment=environment)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``winnow run``, which has to go well."""
        done = self.winnow("run", "m.yaml", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def documents(self, output: str = "out") -> list[dict[str, Any]]:
        """Rows that the last step kept."""
        return corpus_rows(self.folder / output)

    def artifacts(self, name: str, output: str = "out") -> Path:
        (found,) = files_of(self.folder / output, "label.reduce", f"artifacts/{name}")
        return found

    def card(self, output: str = "out") -> dict[str, Any]:
        card: dict[str, Any] = json.loads(self.artifacts("card.json", output).read_text())
        return card
