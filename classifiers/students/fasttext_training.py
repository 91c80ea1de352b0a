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

from pydantic import BaseModel, ConfigDict, Field, model_validator

from classifiers.students.fasttext_process import DIVERGED
from winnow import ShardError

# With one thread, fastText 0.9.3 and its forks fill the first tenth of the input matrix only
# (densematrix.cc: uniformThread) and learn on whatever the allocator hands out for the rest. Above
# 32 MiB, the most that its mmap threshold can grow to, glibc hands out fresh pages, which are
# zero, to a process that has freed no block as large (so training has a process of its own); below,
# recycled memory makes models differ from run to run or training end in NaN.
MIN_WEIGHTS = 32 * 2**20 // 4

LABEL = "__label__"


class Sizes(BaseModel):
    """What decides whether a model is large enough to be trained repeatably."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(default=16, ge=1, le=512, description="length of a word's vector")
    bucket: int = Field(
        default=600_000, ge=1, le=50_000_000, description="vectors that n-grams are hashed into"
    )

    @model_validator(mode="after")
    def _large_enough_to_be_repeatable(self) -> Sizes:
        if self.dim * self.bucket <= MIN_WEIGHTS:
            raise ValueError(
                f"dim × bucket is {self.dim * self.bucket:,} and must be above {MIN_WEIGHTS:,}: "
                "fastText does not train smaller models repeatably"
            )
        return self


class Settings(Sizes):
    """Parameters of fastText's supervised training, in its own terms.

    The defaults learn from a few hundred documents a class as well as from many: on 249 pages
    labelled by people, 5-fold AUC was 0.73 to 0.74 with ``epoch`` 5 to 10, 0.85 with 25, and the
    same for ``dim`` 16 and 64, of which 16 scores faster.
    """

    epoch: int = Field(default=25, ge=1, le=1_000, description="passes over the training sample")
    lr: float = Field(default=0.5, gt=0, le=10, description="learning rate at the start")
    # With 1, fastText leaves the buckets out, and small models are not repeatable.
    word_ngrams: int = Field(default=2, ge=2, le=5, description="longest word n-gram it sees")
    min_count: int = Field(default=2, ge=1, description="rarer words are not learned")


def library() -> str:
    """Name and version of what trains."""
    return f"fasttext-numpy2 {version('fasttext-numpy2')}"


def train(
    documents: Iterable[tuple[str, str]],
    settings: Settings,
    seed: int,
    path: Path,
    passes: int | None = None,
) -> None:
    """Train on (label, view of a document) in the order given and save the model to ``path``.

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
