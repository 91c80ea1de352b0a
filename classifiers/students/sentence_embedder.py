"""A frozen encoder of the library sentence-transformers, pinned by what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.students.preprocessing import TextBatch
from classifiers.students.student_settings import SentenceTransformer
from winnow import ShardError, digest, sha256_file

Floats = npt.NDArray[np.float32]

INSTALL = "pip install 'winnow[embeddings]'"


def installed() -> bool:
    """Whether the library is there."""
    return find_spec("sentence_transformers") is not None


def model_files(folder: Path) -> list[Path]:
    """What a local model consists of, in order of name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def folder_digest(folder: Path) -> str:
    """Of the names and bytes of a local model's files."""
    files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in model_files(folder)}
    return digest(files)


def describe(settings: SentenceTransformer, base: Path) -> dict[str, Any]:
    """What a card says of the encoder; ``sha256`` is that of a local model's files."""
    folder = base / settings.model
    found = settings.model_dump()
    return {**found, "sha256": folder_digest(folder) if folder.is_dir() else None}


class SentenceEmbedder:
    """An encoder, loaded. Vectors come as the model ends (with its own normalisation, if any)."""

    def __init__(self, embedding: Mapping[str, Any], base: Path) -> None:
        if not installed():
            message = "the student needs sentence-transformers, which is not installed"
            raise ShardError("no-library", message, INSTALL)
        folder, name = base / embedding["model"], embedding["model"]
        if embedding["sha256"] is not None:
            if not folder.is_dir():
                hint = "put it there, from the manifest's folder, or train the student again"
                raise ShardError("no-model", f"the student's encoder {name} is not there", hint)
            if folder_digest(folder) != embedding["sha256"]:
                message = f"the encoder {name} is not the one that the student was trained on"
                raise ShardError("model-changed", message, "train the student again")
        # Imported here alone: it loads torch, which takes seconds.
        from sentence_transformers import SentenceTransformer as Encoder

        local = embedding["sha256"] is not None
        self.model = Encoder(
            str(folder) if local else name,
            revision=None if local else embedding["revision"],
            local_files_only=local,
        )
        self.prompt = embedding["prompt"]
        self.batch = int(embedding["batch"])

    def vectors(self, texts: TextBatch) -> Floats:
        found = self._encode(texts.truncated.to_pylist())
        found[texts.blank] = 0
        return found

    def word_vectors(self, words: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        found = self._encode(list(words))
        return found, np.ones(found.shape[1], dtype=np.bool_)

    def _encode(self, texts: list[str]) -> Floats:
        if not texts:  # the library gives no columns either then
            return self._encode([""])[:0]
        found = self.model.encode(
            texts,
            prompt=self.prompt or None,
            batch_size=self.batch,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.array(found, dtype=np.float32)
