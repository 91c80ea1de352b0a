"""How fastText models are trained so that equal documents give equal bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from classifiers.students.fasttext_process import DIVERGED
from classifiers.students.student_settings import FastTextSettings
from winnow import ShardError

LABEL = "__label__"


def library() -> str:
    """Name and version of what trains."""
    return f"fasttext-numpy2 {version('fasttext-numpy2')}"


def train(
    documents: Iterable[tuple[str, str]],
    settings: FastTextSettings,
    seed: int,
    path: Path,
    passes: int | None = None,
) -> None:
    """Train on (label, preprocessed text) in the order given and save the model to ``path``.

    ``passes`` over these lines, by default ``settings.epoch``. One thread and a seed: equal
    documents give equal bytes. Raises ShardError when training diverges.
    """
    options = {
        "dim": settings.dim,
        "epoch": passes or settings.epoch,
        "lr": settings.lr,
        "wordNgrams": settings.word_ngrams,
        "bucket": settings.bucket,
        "minCount": settings.min_count,
        "seed": seed,
    }
    run(options, (f"{LABEL}{label} {seen}" for label, seen in documents), path)


def run(options: dict[str, Any], lines: Iterable[str], path: Path) -> None:
    """Train on ``lines`` with fastText's own ``options`` and save the model to ``path``."""
    program = [sys.executable, "-P", "-m", "classifiers.students.fasttext_process"]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        given = json.dumps({"input": file.name, **options})
        done = subprocess.run([*program, given, str(path)], capture_output=True, text=True)
    why = done.stderr.strip()
    if done.returncode == DIVERGED:
        message = f"fastText gave up with lr {options['lr']}: {why}"
        raise ShardError("training-diverged", message, "lower lr")
    if done.returncode:
        raise ShardError("training-failed", f"fastText ended with {done.returncode}: {why}")
