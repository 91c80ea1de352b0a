"""A fastText classifier of two classes: what it reads, how it is trained, what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from classifiers.fasttext_process import DIVERGED
from pipeline.errors import ShardError

MAX_CHARACTERS = 10_000
POSITIVE, NEGATIVE = "__label__positive", "__label__negative"

# With one thread, fastText 0.9.3 and its forks fill the first tenth of the input matrix only
# (densematrix.cc: uniformThread) and learn on whatever the allocator hands out for the rest. Above
# 32 MiB, the most that its mmap threshold can grow to, glibc hands out fresh pages, which are
# zero, to a process that has freed no block as large (so training has a process of its own); below,
# recycled memory makes models differ from run to run or training end in NaN.
MIN_WEIGHTS = 32 * 2**20 // 4

# What fastText's own reader splits on.
SEPARATORS = " \n\r\t\v\f\0"


class Settings(BaseModel):
    """Parameters of fastText's supervised training, in its own terms.

    The defaults learn from a few hundred documents a class as well as from many: on 249 pages
    labelled by people, 5-fold AUC was 0.73 to 0.74 with ``epoch`` 5 to 10, 0.85 with 25, and the
    same for ``dim`` 16 and 64, of which 16 scores faster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(default=16, ge=1, le=512, description="length of a word's vector")
    epoch: int = Field(default=25, ge=1, le=1_000, description="passes over the training sample")
    lr: float = Field(default=0.5, gt=0, le=10, description="learning rate at the start")
    word_ngrams: int = Field(default=2, ge=1, le=5, description="longest word n-gram it sees")
    bucket: int = Field(
        default=600_000, ge=1, le=50_000_000, description="vectors that n-grams are hashed into"
    )
    min_count: int = Field(default=2, ge=1, description="rarer words are not learned")

    @model_validator(mode="after")
    def _large_enough_to_be_repeatable(self) -> Settings:
        if self.dim * self.bucket <= MIN_WEIGHTS:
            raise ValueError(
                f"dim × bucket is {self.dim * self.bucket:,} and must be above {MIN_WEIGHTS:,}: "
                "fastText does not train smaller models repeatably"
            )
        return self


def view(text: pa.LargeStringArray | pa.ChunkedArray) -> pa.LargeStringArray | pa.ChunkedArray:
    """What the classifier sees of each document [rows], in training and in serving alike.

    The first 10,000 characters, in lower case, on one line, ASCII punctuation set apart as words
    of its own. That also takes apart whatever fastText reads as more than text: ``__label__``,
    which begins a label, and ``</s>``, which ends a document.
    """
    start = pc.utf8_lower(pc.utf8_slice_codeunits(text, 0, MAX_CHARACTERS))
    words = pc.replace_substring_regex(start, "([[:punct:]])", r" \1 ")
    return pc.replace_substring(words, "\n", " ")


def is_blank(seen: str) -> bool:
    """Whether nothing is left for fastText to read."""
    return not seen.strip(SEPARATORS)


def train(documents: Sequence[tuple[str, str]], settings: Settings, seed: int, path: Path) -> None:
    """Train on (label, view of a document) in the order given and save the model to ``path``.

    One thread and a seed: equal documents give equal bytes. Raises ShardError when training
    diverges.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", suffix=".txt") as file:
        file.writelines(f"{label} {seen}\n" for label, seen in documents)
        file.flush()
        options = {
            "input": file.name,
            "dim": settings.dim,
            "epoch": settings.epoch,
            "lr": settings.lr,
            "wordNgrams": settings.word_ngrams,
            "bucket": settings.bucket,
            "minCount": settings.min_count,
            "seed": seed,
        }
        program = [sys.executable, "-P", "-m", "classifiers.fasttext_process"]
        done = subprocess.run(
            [*program, json.dumps(options), str(path)], capture_output=True, text=True
        )
    why = done.stderr.strip()
    if done.returncode == DIVERGED:
        message = f"fastText gave up with lr {settings.lr}: {why}"
        raise ShardError("training-diverged", message, "lower lr")
    if done.returncode:
        raise ShardError("training-failed", f"fastText ended with {done.returncode}: {why}")


class FastTextStudent:
    """A trained model, ready to score."""

    def __init__(self, path: Path) -> None:
        self.model: Any = fasttext.load_model(str(path))

    def score(self, seen: Sequence[str]) -> npt.NDArray[np.float32]:
        """P(positive) of each ``view`` [rows], in [0, 1]; 0 for one without any word.

        Each score is independent of the other rows.
        """
        labels, probabilities = self.model.predict(list(seen), k=2)
        scores = [
            # fastText adds 1e-5 before the logarithm that it undoes, so 1.00001 does occur.
            min(float(pair[0] if names[0] == POSITIVE else pair[1]), 1.0)
            if len(pair) == 2 and not is_blank(text)
            else 0.0
            for text, names, pair in zip(seen, labels, probabilities, strict=True)
        ]
        return np.array(scores, dtype=np.float32)

    def telling(self, count: int, min_frequency: int = 5) -> dict[str, list[dict[str, Any]]]:
        """The words that push a score most, ``count`` for each side: shortcuts show up here.

        ``weight`` is what one occurrence adds to the log-odds of a document, times the number of
        its words and n-grams. Words seen fewer than ``min_frequency`` times in training are left
        out; n-grams have no names in a fastText model. ``</s>`` is the end of a document: it tells
        where short documents differ from long ones.
        """
        words, frequencies = self.model.get_words(include_freq=True)
        outputs = dict(zip(self.model.labels, self.model.get_output_matrix(), strict=True))
        direction = outputs[POSITIVE] - outputs[NEGATIVE]
        weights = self.model.get_input_matrix()[: len(words)] @ direction
        weights = np.where(frequencies >= min_frequency, weights, 0)
        order = np.lexsort((np.arange(len(words)), weights))

        def entry(index: int) -> dict[str, Any]:
            return {
                "word": words[index][:40],
                "weight": round(float(weights[index]), 2),
                "frequency": int(frequencies[index]),
            }

        return {
            "positive": [entry(i) for i in order[::-1][:count] if weights[i] > 0],
            "negative": [entry(i) for i in order[:count] if weights[i] < 0],
        }


@lru_cache(maxsize=1)
def _loaded(path: Path, size: int, modified: int) -> FastTextStudent:
    return FastTextStudent(path)


def load(path: Path) -> FastTextStudent:
    """The model at ``path``, read once per process and again when the file has changed."""
    stat = path.stat()
    return _loaded(path, stat.st_size, stat.st_mtime_ns)


def write_card(path: Path, card: dict[str, Any]) -> None:
    """What a model was made from and how good it is, beside it, for people and programs."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
